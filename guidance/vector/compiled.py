"""How the rasteriser's kernels are compiled by numba, and the arithmetic that all of them share.

numba's cache notices changes to a function's own file only: after one here, empty it
(``__pycache__/*.nb?``).
"""

from __future__ import annotations

import contextlib

import numba

# Sums may be reordered for vector units; infinities and NaN keep their meaning.
OPTIONS = {"nogil": True, "error_model": "numpy", "fastmath": {"reassoc", "contract", "nsz"}}


def kernel(function):
    """Compile `function` to run without the interpreter's lock, cached on disk where possible."""
    try:
        compiled = numba.njit(cache=True, **OPTIONS)(function)
    except RuntimeError:  # numba found no folder it may write its cache to
        return numba.njit(**OPTIONS)(function)
    save = compiled._cache.save_overload

    def save_if_possible(*overload):
        with contextlib.suppress(OSError):  # a full disk costs the cache, not the drawing
            save(*overload)

    compiled._cache.save_overload = save_if_possible
    return compiled


def helper(function):
    """Compile `function` as a part of kernels only, which takes less time."""
    return numba.njit(no_cpython_wrapper=True, no_cfunc_wrapper=True, **OPTIONS)(function)


@helper
def clipped(x, low, high):
    """Return `x` limited to [low, high] as an integer, whatever the size of `x`."""
    return int(min(max(x, low), high))


@helper
def crossing(a, b, low):
    """Return from where to where, t0 <= t1 in [0, 1], ``a + t (b - a)`` is in [low, low + 1]."""
    run = b - a
    if run == 0:
        return 0.0, 1.0
    enter, leave = (low - a) / run, (low + 1 - a) / run
    return min(max(min(enter, leave), 0.0), 1.0), min(max(max(enter, leave), 0.0), 1.0)
