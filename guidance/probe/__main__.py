"""``python -m guidance.probe FOLDER``."""

import sys

from guidance.probe.technique import command

if __name__ == "__main__":
    sys.exit(command())
