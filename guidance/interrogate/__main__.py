"""``python -m guidance.interrogate photo.jpg``."""

import sys

from guidance.interrogate.technique import command

if __name__ == "__main__":
    sys.exit(command())
