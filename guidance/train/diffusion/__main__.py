"""``python -m guidance.train.diffusion``."""

import sys

from guidance.command.launch import Command
from guidance.train.diffusion.options import DiffusionTraining

main = Command("train.diffusion", DiffusionTraining, "guidance.train.diffusion.trainer:train")

if __name__ == "__main__":
    sys.exit(main())
