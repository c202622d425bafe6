"""``python -m guidance.look matrix photos/ --texts "a cat" "a dog"``."""

import sys

from guidance.look.technique import command as main

if __name__ == "__main__":
    sys.exit(main())
