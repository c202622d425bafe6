"""``python -m guidance.train.data``."""

import sys

from guidance.command.launch import Command
from guidance.train.data.options import DataOptions

main = Command("train.data", DataOptions, "guidance.train.data.build:build")

if __name__ == "__main__":
    sys.exit(main())
