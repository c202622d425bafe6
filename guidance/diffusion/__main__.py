"""``python -m guidance.diffusion "a fox at sunrise"``."""

import sys

from guidance.command.runner import command
from guidance.diffusion.technique import DIFFUSION

if __name__ == "__main__":
    sys.exit(command(DIFFUSION))
