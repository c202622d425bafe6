"""``python -m guidance.vqgan "a fox at sunrise in the style of Monet"``."""

import sys
from functools import partial

from guidance.command.runner import command
from guidance.vqgan.technique import VQGAN

main = partial(command, VQGAN)

if __name__ == "__main__":
    sys.exit(main())
