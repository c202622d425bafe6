"""``python -m guidance.train.latents``."""

import sys

from guidance.command.launch import Command
from guidance.train.latents.options import LatentsOptions

main = Command("train.latents", LatentsOptions, "guidance.train.latents.encode:prepare")

if __name__ == "__main__":
    sys.exit(main())
