"""``python -m guidance.vqgan "a fox at sunrise in the style of Monet"``."""

import sys

from guidance.command.runner import command
from guidance.vqgan.technique import VQGAN

if __name__ == "__main__":
    sys.exit(command(VQGAN))
