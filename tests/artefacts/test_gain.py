"""The best of N, beside the mean over all choices of N."""

from __future__ import annotations

import csv
import itertools

import numpy as np
import pytest
import torch
from PIL import Image

from guidance.artefacts.gain import best_chances, gain, steps, write_gain
from guidance.errors import InputError


def normal(count: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, generator=generator, dtype=torch.float64)


def test_all_choices_are_counted():
    scores, judged = normal(8), normal(8, seed=1)
    scores[3] = scores[5] = 0.7  # of equal scores either may be picked
    curves = gain(scores, judged)
    assert curves["score"].counts == (1, 2, 3, 4, 6, 8)
    for place, count in enumerate(curves["score"].counts):
        best, seen = [], []
        for chosen in map(list, itertools.combinations(range(8), count)):
            top = scores[chosen].max()
            best.append(top)
            seen.append(judged[[i for i in chosen if scores[i] == top]].mean())
        expected = torch.stack(best).mean()
        assert float(curves["score"].means[place]) == pytest.approx(float(expected), abs=1e-12)
        expected = torch.stack(seen).mean()
        assert float(curves["judge"].means[place]) == pytest.approx(float(expected), abs=1e-12)


def test_chances_are_those_of_the_binomials():
    for total, count in ((9, 1), (9, 4), (9, 9), (100_000, 1000)):
        chances = best_chances(total, count)
        assert float(chances.sum()) == pytest.approx(1)
        assert not chances[: count - 1].any()
        assert float(chances[-1]) == pytest.approx(count / total)
        # the best is at most at place m with chance C(m, count) / C(total, count)
        m = (count + total) // 2
        below = np.exp(sum(np.log(m - k) - np.log(total - k) for k in range(count)))
        assert float(chances[:m].sum()) == pytest.approx(below, rel=1e-9, abs=1e-12)


def test_the_best_of_n_normal_samples_and_its_band():
    curve = gain(normal(2000))["score"]
    at = dict(zip(curve.counts, zip(curve.means, curve.low, curve.high, strict=True), strict=True))
    # expected maximum of 2 and of 8 standard normal numbers: 1/sqrt(pi), and by tables
    for count, expected in ((1, 0.0), (2, 0.5642), (8, 1.4236)):
        mean, low, high = map(float, at[count])
        assert mean == pytest.approx(expected, abs=0.06)
        assert low < expected < high
    _, low, high = map(float, at[1])
    assert high - low == pytest.approx(2 * 1.96 / 2000**0.5, rel=0.15)
    assert curve.spread == pytest.approx(1, abs=0.05)


def test_a_judge_that_sees_nothing_gains_nothing():
    scores = normal(500)
    noise = gain(scores, normal(500, seed=3))["judge"]
    honest = gain(scores, scores + 0.3 * normal(500, seed=4))["judge"]
    assert abs(float(noise.means[8])) < 0.3
    assert float(honest.means[8]) > 1.2


def test_steps_end_with_all():
    assert steps(2) == (1, 2)
    assert steps(100) == (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 100)
    with pytest.raises(InputError, match="at least two images"):
        gain(torch.ones(1))


def test_the_files(tmp_path):
    scores = normal(40) * 0.02 + 0.25
    curves = gain(scores, scores * 3)
    write_gain(tmp_path / "gain.csv", curves, unit="cosine", title="t")
    with (tmp_path / "gain.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(r["n"]) for r in rows] == list(steps(40))
    assert list(rows[0]) == ["n", "score", "score_low", "score_high", "judge", "judge_low",
                             "judge_high"]  # fmt: skip
    assert float(rows[-1]["score"]) == pytest.approx(float(scores.max()), abs=1e-6)
    assert float(rows[0]["score"]) == pytest.approx(float(scores.mean()), abs=1e-6)
    for row in rows:
        assert float(row["score_low"]) <= float(row["score"]) + 1e-6
        assert float(row["judge"]) == pytest.approx(3 * float(row["score"]), abs=5e-6)
    for name, found in (("both.png", curves), ("one.png", {"score": curves["score"]})):
        write_gain(tmp_path / name, found, unit="cosine", title="Best of N: a fox")
        with Image.open(tmp_path / name) as chart:
            assert chart.size == (800, 500)
            blue = (np.asarray(chart) == (0, 0x72, 0xB2)).all(axis=2).sum()
            orange = (np.asarray(chart) == (0xD5, 0x5E, 0)).all(axis=2).sum()
        # the judge's line, equal in standard deviations, lies on top of the other
        assert (orange > 500) == (name == "both.png")
        assert blue > (20 if name == "both.png" else 500)
