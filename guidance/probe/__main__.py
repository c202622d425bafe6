"""``python -m guidance.probe FOLDER``."""

import sys

from guidance.probe.technique import command as main

if __name__ == "__main__":
    sys.exit(main())
