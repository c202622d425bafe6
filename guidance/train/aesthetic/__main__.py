"""``python -m guidance.train.aesthetic``."""

import sys

from guidance.command.launch import Command
from guidance.train.aesthetic.options import AestheticOptions

main = Command("train.aesthetic", AestheticOptions, "guidance.train.aesthetic.ridge:train")

if __name__ == "__main__":
    sys.exit(main())
