"""Fraction of a run that lies behind → factor of the learning rate, 0 to 1.

A schedule is a function of the fraction alone, so that a run can be measured in steps, in pictures
or in minutes.
"""

from __future__ import annotations

import math

LEAST = 0.01  # of the highest rate, which a cosine does not fall below
SHORT = 0.01  # of the run, in which `cosine` rises


def cosine(done: float) -> float:
    """Rise in the first hundredth, and fall as a cosine from the start (arXiv:1608.03983)."""
    rise = min(1.0, max(done, 1e-4) / SHORT)
    return rise * max(LEAST, 0.5 + 0.5 * math.cos(math.pi * done))


def warm_cosine(done: float, warmup: float) -> float:
    """Rise for a share `warmup` of the run, then fall as a cosine."""
    turn = math.pi * (done - warmup) / (1 - warmup)
    return max(done / warmup if done < warmup else 0.5 + 0.5 * math.cos(turn), LEAST)


def warm_line(done: float, warmup: float) -> float:
    """Rise for a share `warmup` of the run, then fall as a line."""
    return min(done / warmup, (1 - done) / (1 - warmup) + LEAST, 1.0)


def line(done: float) -> float:
    """Fall as a line from the start."""
    return 1 - done
