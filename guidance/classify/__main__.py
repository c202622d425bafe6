"""``python -m guidance.classify photos/ --labels "a dog" "a girl wearing a beanie"``."""

import sys

from guidance.classify.technique import command

if __name__ == "__main__":
    sys.exit(command())
