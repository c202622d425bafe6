"""``python -m guidance.train.clip``."""

import sys

from guidance.command.launch import Command
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.presets import take_config

main = Command(
    "train.clip",
    ClipOptions,
    "guidance.train.clip.trainer:train",
    base=take_config,
    taken=["--config"],
)

if __name__ == "__main__":
    sys.exit(main())
