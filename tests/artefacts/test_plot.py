"""Charts, looked at pixel by pixel and as SVG: a line lies where its numbers say."""

from __future__ import annotations

import math
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET

import numpy as np
import pytest
from matplotlib import rcParams
from PIL import Image

from guidance.artefacts.plot import COLOURS, line_chart, measured, save, short, style, to_image
from guidance.errors import FileError, InputError

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*args, **options) -> Image.Image:
    return to_image(line_chart(*args, **options))


def texts(path) -> list[str]:
    """Return what is written in an SVG."""
    return [text.text for text in ET.parse(path).iter(f"{SVG}text")]


def places(chart: Image.Image, number: int = 0, near: int = 12) -> tuple[np.ndarray, np.ndarray]:
    """Return rows and columns of the pixels in the colour of series `number`."""
    colour = [int(COLOURS[number][i : i + 2], 16) for i in (1, 3, 5)]
    away = np.abs(np.asarray(chart, dtype=int) - colour).max(axis=2)
    return np.nonzero(away <= near)


def test_a_line_lies_where_its_numbers_say():
    chart = drawn({"a": [(0, 0), (10, 10)]}, size=(600, 400))
    rows, columns = places(chart)
    slope, start = np.polyfit(columns, rows, 1)
    assert np.abs(slope * columns + start - rows).max() < 7  # the dots at its ends are 4 in radius
    assert slope == pytest.approx(-(np.ptp(rows) / np.ptp(columns)), rel=0.05)
    third = drawn({"a": [(0, 0), (1, 2.5), (2, 10)]}, size=(600, 400))
    rows, columns = places(third)
    middle = rows[np.abs(columns - (columns.min() + columns.max()) / 2) < 2]
    assert (rows.max() - middle.mean()) / np.ptp(rows) == pytest.approx(0.25, abs=0.02)


def test_a_logarithmic_axis():
    chart = drawn({"a": [(1, 0), (4, 1), (16, 0)]}, log_x=True)
    rows, columns = places(chart)
    peak = columns[rows == rows.min()].mean()
    assert peak == pytest.approx((columns.min() + columns.max()) / 2, abs=2)


def test_gaps_stay_empty():
    points = [(x, math.nan if 40 < x < 60 else 1 + x / 100) for x in range(101)]
    rows, columns = places(drawn({"a": points}))
    part = (columns - columns.min()) / np.ptp(columns)
    assert not ((part > 0.42) & (part < 0.58)).any()
    assert ((part > 0.35) & (part < 0.4)).any()
    rows, _ = places(drawn({"a": [(0, math.inf), (1, 2.0), (2, math.nan)]}))
    assert 5 <= np.ptp(rows) <= 10  # a point alone is a dot


def test_a_band_is_tinted_between_its_ends():
    line = {"a": [(0, 0.0), (10, 0.0)], "b": [(0, 10.0), (10, 10.0)]}
    plain = np.asarray(drawn(line), dtype=int)
    banded = np.asarray(drawn(line, bands={"a": [(0, 2, 4), (10, 2, 4)]}), dtype=int)
    changed = np.nonzero(np.abs(plain - banded).max(axis=2) > 10)[0]
    (zero, _), (ten, _) = (places(Image.fromarray(plain.astype(np.uint8)), n) for n in (0, 1))
    floor, ceiling = np.median(zero), np.median(ten)
    height = (floor - changed) / (floor - ceiling)
    assert height.min() == pytest.approx(0.2, abs=0.02)
    assert height.max() == pytest.approx(0.4, abs=0.02)


def test_many_series_are_told_apart():
    series = {f"series {n}": [(0, n), (100, n)] for n in range(10)}
    chart = drawn(series, title="ten", x_label="x", y_label="y")
    found, columns = places(chart, 0)
    counts = np.bincount(found[columns > 60])
    long = np.flatnonzero(counts > 200)  # the rows of its lines, not of the legend
    assert np.ptp(long) > 200  # the first and the ninth share a colour
    assert counts[long].min() < 0.75 * counts[long].max()  # and one of them is dashed
    assert chart.size == (800, 500)


def test_what_is_written_is_there(tmp_path):
    series = {"狐と日の出": [(1, 1), (2, 2)], "_лиса $5 & <b>": [(1, 2), (2, math.nan), (3, 1)]}
    save(
        line_chart(series, title="title $x$", x_label="pictures", y_label="accuracy, %"),
        tmp_path / "a.svg",
    )
    found = texts(tmp_path / "a.svg")
    for text in (*series, "title $x$", "pictures", "accuracy, %"):
        assert text in found
    assert ET.parse(tmp_path / "a.svg").getroot().tag == f"{SVG}svg"


def test_letters_that_no_font_has_draw_without_a_warning(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plain, odd = (drawn({"a": [(0, 1), (1, 2)]}, title=text) for text in ("", "狐 🦊 \n \0"))
    assert np.abs(np.asarray(plain, int) - np.asarray(odd, int)).max() > 100


def test_a_logarithmic_axis_names_its_few_values(tmp_path):
    few = [1, 2, 4, 8, 16]
    save(line_chart({"a": [(x, x) for x in few]}, log_x=True), tmp_path / "few.svg")
    assert set(map(str, few)) <= set(texts(tmp_path / "few.svg"))
    save(line_chart({"a": [(x, -1.5) for x in range(1, 60)]}, log_x=True), tmp_path / "many.svg")
    assert {"1", "2", "5", "10", "20", "50"} <= set(texts(tmp_path / "many.svg"))


@pytest.mark.parametrize("suffix", [".png", ".svg", ".jpg", ".webp"])
def test_the_same_numbers_give_the_same_bytes_in_any_style(tmp_path, suffix, monkeypatch):
    files = [tmp_path / f"{n}{suffix}" for n in range(2)]
    for file in files:
        save(line_chart({"a": [(0, 1), (1, 2)], "b": [(0, 2), (1, 1)]}, title="t"), file)
        for name, value in (("lines.linewidth", 9), ("font.size", 30), ("svg.hashsalt", "x")):
            monkeypatch.setitem(rcParams, name, value)
    assert files[0].read_bytes() == files[1].read_bytes()
    assert rcParams["font.size"] == 30  # and a user's own style is as it was
    if suffix != ".svg":
        with Image.open(files[0]) as picture:
            assert picture.size == (800, 500)


def test_long_text_is_cut_to_its_room():
    with style():
        for text in ("W" * 200, "狐" * 200, "i" * 5000):
            cut = short(text, 300, 10)
            assert cut.endswith("…")
            assert 200 < measured(cut, 10) <= 300
        assert short("a\nb", 300, 10) == r"a\nb"


def test_matplotlib_is_loaded_where_a_plot_is_drawn_only():
    code = (
        "import sys, guidance.artefacts.plot, guidance.classify.matrix; "
        "assert 'matplotlib' not in sys.modules; "
        "guidance.artefacts.plot.line_chart({'a': [(0, 1)]}); "
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


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
        drawn(**arguments)


def test_where_it_cannot_be_written(tmp_path):
    for suffix in (".png", ".svg"):
        with pytest.raises(FileError, match="cannot write"):
            save(line_chart({"a": [(0, 1)]}), tmp_path / "none" / f"a{suffix}")
