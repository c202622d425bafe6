"""Charts, looked at pixel by pixel: a line lies where its numbers say."""

from __future__ import annotations

import doctest
import math

import numpy as np
import pytest
from PIL import Image

from guidance.artefacts import plot
from guidance.artefacts.plot import COLOURS, line_chart, ticks
from guidance.errors import InputError


def places(chart: Image.Image, number: int = 0, near: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels in the colour of series `number`."""
    colour = [int(COLOURS[number][i : i + 2], 16) for i in (1, 3, 5)]
    away = np.abs(np.asarray(chart, dtype=int) - colour).max(axis=2)
    return np.nonzero(away <= near)


@pytest.mark.parametrize("seed", range(20))
def test_ticks_are_round_and_enclose_the_numbers(seed):
    random = np.random.default_rng(seed)
    low, high = np.sort(random.normal(size=2) * 10.0 ** random.integers(-5, 6))
    found = ticks(low, high, 6)
    steps = np.diff(found)
    assert found[0] <= low + 1e-9 * abs(low)
    assert found[-1] >= high - 1e-9 * abs(high)
    assert 2 <= len(found) <= 9
    np.testing.assert_allclose(steps, steps[0], rtol=1e-6)
    mantissa = steps[0] / 10 ** math.floor(math.log10(steps[0]) + 1e-9)
    assert min(abs(mantissa - f) for f in (1, 2, 5)) < 1e-6
    assert found[1] / steps[0] == pytest.approx(round(found[1] / steps[0]), abs=1e-6)


def test_ticks_of_one_value_have_room_around_it():
    for value in (0.0, 3.0, -2e-5, 1e9):
        found = ticks(value, value, 5)
        assert found[0] < value < found[-1]


def test_a_line_lies_where_its_numbers_say():
    # 0 and 10 are ticks, so they are the ends of the plot
    chart = line_chart({"a": [(0, 0), (10, 10)]}, size=(600, 400))
    rows, columns = places(chart)
    slope, start = np.polyfit(columns, rows, 1)
    assert np.abs(slope * columns + start - rows).max() < 7  # the dots at its ends are 4 in radius
    assert slope == pytest.approx(-(np.ptp(rows) / np.ptp(columns)), rel=0.05)
    third = line_chart({"a": [(0, 0), (1, 2.5), (2, 10)]}, size=(600, 400))
    rows, columns = places(third)
    middle = rows[np.abs(columns - (columns.min() + columns.max()) / 2) < 2]
    assert (rows.max() - middle.mean()) / np.ptp(rows) == pytest.approx(0.25, abs=0.02)


def test_a_logarithmic_axis():
    chart = line_chart({"a": [(1, 0), (4, 1), (16, 0)]}, log_x=True)
    rows, columns = places(chart)
    peak = columns[rows == rows.min()].mean()
    assert peak == pytest.approx((columns.min() + columns.max()) / 2, abs=2)


def test_gaps_stay_empty():
    points = [(x, math.nan if 40 < x < 60 else 1 + x / 100) for x in range(101)]
    rows, columns = places(line_chart({"a": points}))
    part = (columns - columns.min()) / np.ptp(columns)
    assert not ((part > 0.42) & (part < 0.58)).any()
    assert ((part > 0.35) & (part < 0.4)).any()
    rows, _ = places(line_chart({"a": [(0, math.inf), (1, 2.0), (2, math.nan)]}))
    assert 5 <= np.ptp(rows) <= 10  # a point alone is a dot


def test_a_band_is_tinted_between_its_ends():
    line = {"a": [(0, 0.0), (10, 0.0)], "b": [(0, 10.0), (10, 10.0)]}
    plain = np.asarray(line_chart(line), dtype=int)
    banded = np.asarray(line_chart(line, bands={"a": [(0, 2, 4), (10, 2, 4)]}), dtype=int)
    changed = np.nonzero(np.abs(plain - banded).max(axis=2) > 10)[0]
    (zero, _), (ten, _) = (places(Image.fromarray(plain.astype(np.uint8)), n) for n in (0, 1))
    floor, ceiling = zero[zero > 100].mean(), ten[ten > 30].mean()
    height = (floor - changed) / (floor - ceiling)
    assert height.min() == pytest.approx(0.2, abs=0.02)
    assert height.max() == pytest.approx(0.4, abs=0.02)


def test_many_series_are_told_apart():
    series = {f"series {n}": [(0, n), (100, n)] for n in range(10)}
    chart = line_chart(series, title="ten", x_label="x", y_label="y")
    found, columns = places(chart, 0)
    rows = np.unique(found[columns > 300])
    assert np.ptp(rows) > 200  # the first and the ninth share a colour
    lengths = [(found == row).sum() for row in rows]
    assert min(lengths) < 0.75 * max(lengths)  # and one of them is dashed
    assert chart.size == (800, 500)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"series": {}}, "at least one finite point"),
        ({"series": {"a": [(0, math.nan)]}}, "at least one finite point"),
        ({"series": {"a": [(0, 1)]}, "log_x": True}, "every x must be positive .* one is 0"),
        ({"series": {"a": [(math.inf, 1)]}}, "every x must be finite"),
        ({"series": {"aa": [(1, 1)]}, "bands": {"ab": []}}, "did you mean aa"),
        ({"series": {"a": [(1, 1)]}, "size": (100, 500)}, "160 to 8000 pixels"),
        ({"series": {f"{n:020}": [(1, 1)] for n in range(60)}}, "does not fit"),
    ],
)
def test_what_cannot_be_drawn(arguments, message):
    with pytest.raises(InputError, match=message):
        line_chart(**arguments)


def test_the_example_of_the_docstring():
    result = doctest.testmod(plot)
    assert result.attempted > 0
    assert result.failed == 0
