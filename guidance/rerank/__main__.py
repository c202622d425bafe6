"""``python -m guidance.rerank "a fox at sunrise" outputs/``."""

import sys

from guidance.command import scoring
from guidance.rerank.options import RerankOptions

main = scoring.command("rerank", RerankOptions)

if __name__ == "__main__":
    sys.exit(main())
