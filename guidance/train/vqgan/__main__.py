"""``python -m guidance.train.vqgan``."""

import sys

from guidance.command.launch import Command
from guidance.train.vqgan.options import VqganTraining

main = Command("train.vqgan", VqganTraining, "guidance.train.vqgan.trainer:train")

if __name__ == "__main__":
    sys.exit(main())
