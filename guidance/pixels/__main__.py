"""``python -m guidance.pixels "a fox at sunrise"``."""

import sys
from functools import partial

from guidance.command.runner import command
from guidance.pixels.technique import PIXELS

main = partial(command, PIXELS)

if __name__ == "__main__":
    sys.exit(main())
