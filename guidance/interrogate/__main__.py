"""``python -m guidance.interrogate photo.jpg``."""

import sys

from guidance.interrogate.technique import command as main

if __name__ == "__main__":
    sys.exit(main())
