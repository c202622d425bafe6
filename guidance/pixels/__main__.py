"""``python -m guidance.pixels "a fox at sunrise"``."""

import sys

from guidance.pixels.technique import PIXELS
from guidance.runner import command

if __name__ == "__main__":
    sys.exit(command(PIXELS))
