"""Work done a little ahead by threads, in the order of what is asked for."""

from __future__ import annotations

import gc
import threading

import pytest

from guidance.embeddings.prefetch import ahead


def test_order_is_kept_and_the_look_ahead_bounded():
    read = []
    lock = threading.Lock()
    running = most = 0

    def items():
        for number in range(50):
            read.append(number)
            yield number

    def work(number):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return number * number

    for place, (item, result) in enumerate(ahead(work, items(), workers=3, depth=7)):
        assert (item, result) == (place, place * place)
        assert len(read) <= place + 8
    assert most <= 3


def test_an_early_stop_ends_the_threads():
    before = threading.active_count()
    stream = ahead(abs, iter(range(1000)), workers=2, depth=5)
    assert next(stream) == (0, 0)
    stream.close()
    gc.collect()
    assert threading.active_count() == before


def test_errors_arrive_at_their_place():
    stream = ahead(lambda x: 1 // x, [2, 1, 0, 1], workers=2, depth=1)
    assert next(stream)[1] == 0
    assert next(stream)[1] == 1
    with pytest.raises(ZeroDivisionError):
        next(stream)
