"""``python -m guidance.diffusion "a fox at sunrise"``."""

import sys

from guidance.diffusion.technique import DIFFUSION
from guidance.runner import command

if __name__ == "__main__":
    sys.exit(command(DIFFUSION))
