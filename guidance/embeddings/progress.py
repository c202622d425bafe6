"""The progress bar of embedding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator


@contextlib.contextmanager
def bar(total: int | None, show: bool) -> Generator[Callable[[int], object]]:
    """Give a function that advances a bar on stderr, which appears after 2 seconds."""
    from tqdm import tqdm

    with tqdm(total=total, unit="image", disable=not show, delay=2, dynamic_ncols=True) as shown:
        yield shown.update
