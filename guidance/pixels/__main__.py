"""``python -m guidance.pixels "a fox at sunrise"``."""

import sys

from guidance.command.runner import command
from guidance.pixels.technique import PIXELS

if __name__ == "__main__":
    sys.exit(command(PIXELS))
