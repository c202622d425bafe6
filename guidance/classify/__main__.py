"""``python -m guidance.classify photos/ --labels "a dog" "a girl wearing a beanie"``."""

import sys

from guidance.classify.options import LABELS, ClassifyOptions
from guidance.command import scoring

main = scoring.command("classify", ClassifyOptions, LABELS)

if __name__ == "__main__":
    sys.exit(main())
