"""An ordered map that works a little ahead in threads, with bounded memory."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
R = TypeVar("R")


def ahead(
    function: Callable[[T], R],
    items: Iterable[T],
    *,
    workers: int,
    depth: int,
    inline: Callable[[T], bool] = lambda item: False,
) -> Generator[tuple[T | None, R]]:
    """Give each item with ``function(item)``, in order.

    The items are read by the caller's thread, at most `depth` ahead. When the caller stops early,
    what has not begun is cancelled.

    Args:
        workers: threads; 0 works in the caller's thread, nothing ahead.
        inline: items worked on as soon as they are read, in the caller's thread; they are let go
            then, and None is given in their place.

    Raises:
        Exception: what `function` raises, at the place of its item.
    """
    if workers == 0:
        for item in items:
            yield item, function(item)
        return
    pending: deque[tuple[T | None, Future[R]]] = deque()
    pool = ThreadPoolExecutor(workers, "ahead")
    try:
        for item in items:
            if inline(item):
                done: Future[R] = Future()
                done.set_result(function(item))
                pending.append((None, done))
            else:
                pending.append((item, pool.submit(function, item)))
            if len(pending) > depth:
                item, future = pending.popleft()
                yield item, future.result()
        while pending:
            item, future = pending.popleft()
            yield item, future.result()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
