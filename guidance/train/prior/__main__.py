"""``python -m guidance.train.prior``."""

import sys

from guidance.command.launch import Command
from guidance.train.prior.options import PriorOptions

main = Command("train.prior", PriorOptions, "guidance.train.prior.build:train")

if __name__ == "__main__":
    sys.exit(main())
