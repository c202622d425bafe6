"""``python -m guidance.classify photos/ --labels "a dog" "a girl wearing a beanie"``."""

import sys

from guidance.classify.technique import command as main

if __name__ == "__main__":
    sys.exit(main())
