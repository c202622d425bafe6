"""``python -m guidance.rerank "a fox at sunrise" outputs/``."""

import sys

from guidance.rerank.technique import command as main

if __name__ == "__main__":
    sys.exit(main())
