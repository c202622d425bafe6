"""Drawings of other programs: encodings, what is named as left out, and how dashes are split."""

import gzip
import math

import pytest
import torch
from drawings import BOX, box, check, ours, svg

from guidance.vector.svg.reader import from_svg

ACCENT = svg(f"<title>café</title>{BOX}")


@pytest.mark.parametrize(
    ("label", "encoding"),
    [("ISO-8859-1", "latin-1"), ("windows-1252", "cp1252"), ("UTF-16", "utf-16"), (None, "utf-8"),
     ("UTF-16LE", "utf-16-le"), (None, "utf-16-be"), (None, "utf-8-sig"), ("Big5", "big5")],
)  # fmt: skip
@pytest.mark.parametrize("packed", [False, True])
def test_encodings_and_svgz(tmp_path, label, encoding, packed):
    text = f'<?xml version="1.0" encoding="{label}"?>' * bool(label) + ACCENT
    if encoding == "big5":
        text = text.replace("café", "中文")
    data = text.encode(encoding)
    path = tmp_path / ("drawing.svgz" if packed else "drawing.svg")
    path.write_bytes(gzip.compress(data) if packed else data)
    check(ours(path), box())


def test_text_may_declare_any_encoding():
    check(ours(f'<?xml version="1.0" encoding="ISO-8859-1"?>{ACCENT}'), box())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ('<filter id="f"/><g filter="url(#f)">' + BOX + "</g>", "1 × filter"),
        (f'<mask id="m">{BOX}</mask><mask id="n"><rect width="50" height="50" fill="white"/>{BOX}'
         f'</mask><g mask="url(#n)">{BOX}</g>', "1 × mask of several shades"),
        (f'<clipPath id="c"><text>hi</text>{BOX}</clipPath><g clip-path="url(#c)">{BOX}</g>',
         "1 × text in a clip path"),
        ('<marker id="m"/><path d="M20 20h40v30h-40z" fill="red" marker-end="url(#m)"/>',
         "1 × marker"),
        (f'<image href="http://localhost:1/x.png" width="9" height="9"/>{BOX}', "1 × image"),
        (f"<foreignObject/>{BOX}", "1 × foreignObject"),
        (f'<use href="other.svg#a"/>{BOX}', "1 × use of what is not in this file"),
        (f'<g id="a">{BOX}<use href="#a"/></g>', "1 × use that uses itself"),
        (f"<style>@import url(http://localhost:1/a.css);</style>{BOX}", "1 × @import"),
        (f'<clipPath id="c"><rect width="9" height="9" clip-path="url(#c)"/></clipPath>{BOX}'
         '<rect width="100" height="100" clip-path="url(#c)" fill="none"/>',
         "1 × clip-path that uses itself"),
        (f'<g style="mix-blend-mode:multiply">{BOX}</g>', "1 × mix-blend-mode"),
        ('<path d="M20 20h40v30h-40z M 5 5 L X" fill="red"/>', "1 × path data after an error"),
        (BOX.replace("/>", ' transform="turn(5)"/>'), "1 × transform that is not valid"),
        (BOX.replace("/>", ' transform="translate(9vw)"/>'), "1 × transform that is not valid"),
        ('<path d="M0 90h99" stroke="white" stroke-width=".1" stroke-dasharray="1e-9"/>' + BOX,
         "1 × dashes too many to draw"),
        (BOX.replace("/>", ' clip-path="url(#none)"/>'), "1 × clip-path that is no <clipPath>"),
    ],
)  # fmt: skip
def test_what_is_not_shown_is_named(body, named):
    with pytest.warns(UserWarning, match="left out " + named):
        check(ours(svg(body)), box())


def test_a_see_through_group_says_where_it_shows_what_is_below():
    faint = BOX.replace("/>", ' x="50" fill-opacity=".5"/>').replace('x="20" ', "", 1)
    with pytest.warns(UserWarning, match="blending of a see-through group"):
        from_svg(svg(f'<g opacity=".5">{BOX}{faint}</g>'))
    from_svg(svg(f'<g opacity=".5">{BOX}{faint.replace("50", "70")}</g>'))  # without a word


def test_dashes_are_split_and_strokes_stay_strokes():
    line = '<path d="M0 50H100" stroke="red" stroke-width="4" {}/>'
    assert from_svg(svg(line.format('stroke-dasharray="10"'))).closed.tolist() == [True] * 5
    scene = from_svg(svg(line.format("")))
    assert scene.closed.tolist() == [False]
    torch.testing.assert_close(scene.widths, torch.tensor([0.04]))


def test_dashes_are_measured_by_the_stated_length_of_the_path():
    path = '<path d="M0 50C0 0 100 0 100 50" fill="none" stroke="red" {}/>'
    stated = from_svg(svg(path.format('pathLength="9" stroke-dasharray="1"')))
    assert len(stated) == 5
    arc = '<path d="M10 50a40 40 0 0 1 80 0" fill="none" stroke="red" {}/>'
    stated = ours(svg(arc.format('pathLength="9" stroke-dasharray="1"')))
    check(stated, ours(svg(arc.format(f'stroke-dasharray="{40 * math.pi / 9}"'))))


def test_nothing_to_draw_names_what_was_left_out():
    with pytest.raises(ValueError, match=r"no visible stroke or fill \(left out 1 × text\)"):
        from_svg(svg("<text>hi</text>"))
