"""What other systems lack that some tests need."""

import os

import pytest

posix = pytest.mark.skipif(
    os.name == "nt", reason="needs pipes with names, signals, limits or rights as POSIX has them"
)
