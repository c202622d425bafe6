"""``python -m guidance.dalle "a fox at sunrise"``."""

import sys
from functools import partial

from guidance.command.runner import command
from guidance.dalle.technique import DALLE

main = partial(command, DALLE)

if __name__ == "__main__":
    sys.exit(main())
