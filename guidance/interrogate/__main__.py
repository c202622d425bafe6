"""``python -m guidance.interrogate photo.jpg``."""

import sys

from guidance.command import scoring
from guidance.interrogate.options import InterrogateOptions

main = scoring.command("interrogate", InterrogateOptions)

if __name__ == "__main__":
    sys.exit(main())
