"""``python -m guidance.rerank "a fox at sunrise" outputs/``."""

import sys

from guidance.rerank.technique import command

if __name__ == "__main__":
    sys.exit(command())
