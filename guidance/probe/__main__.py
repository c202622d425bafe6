"""``python -m guidance.probe FOLDER``."""

import sys

from guidance.command import scoring
from guidance.probe.options import ProbeOptions

main = scoring.command("probe", ProbeOptions)

if __name__ == "__main__":
    sys.exit(main())
