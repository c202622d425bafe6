"""``python -m guidance.clipdraw "a fox at sunrise"``."""

import sys

from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.runner import command

if __name__ == "__main__":
    sys.exit(command(CLIPDRAW))
