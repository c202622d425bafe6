"""``python -m guidance.train.dalle``."""

import sys

from guidance.command.launch import Command
from guidance.train.dalle.options import DalleTraining

main = Command("train.dalle", DalleTraining, "guidance.train.dalle.trainer:train")

if __name__ == "__main__":
    sys.exit(main())
