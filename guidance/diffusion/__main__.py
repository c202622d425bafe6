"""``python -m guidance.diffusion "a fox at sunrise"``."""

import sys
from functools import partial

from guidance.command.runner import command
from guidance.diffusion.technique import DIFFUSION

main = partial(command, DIFFUSION)

if __name__ == "__main__":
    sys.exit(main())
