"""What other systems lack that some tests need."""

import os
import sys

import pytest

posix = pytest.mark.skipif(
    os.name == "nt", reason="needs pipes with names, signals, limits or rights as POSIX has them"
)

# Measuring coverage slows down Python: what may take so many CPU seconds alone may take more then.
PATIENCE = 1.0 if sys.gettrace() is None else 3.0
