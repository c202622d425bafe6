"""``python -m guidance.train.ship``."""

import sys

from guidance.command.launch import Command
from guidance.train.ship.options import ShipOptions

main = Command("train.ship", ShipOptions, "guidance.train.ship.write:ship")

if __name__ == "__main__":
    sys.exit(main())
