"""The progress bar of embedding."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def bar(total: int | None, show: bool) -> Iterator[Callable[[int], object]]:
    """Give a function that advances a bar on stderr, which appears after 2 seconds."""
    from tqdm import tqdm

    with tqdm(total=total, unit="image", disable=not show, delay=2, dynamic_ncols=True) as shown:
        yield shown.update
