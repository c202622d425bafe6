"""``python -m guidance.clipdraw "a fox at sunrise"``."""

import sys
from functools import partial

from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.runner import command

main = partial(command, CLIPDRAW)

if __name__ == "__main__":
    sys.exit(main())
