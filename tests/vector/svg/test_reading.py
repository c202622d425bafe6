"""Drawings of other programs: structure, style and cuts, against expected boxes and resvg."""

import pytest
from drawings import BOX, FULL, RED, WHOLE, box, check, ours, svg, theirs

BOXES = {
    "auto": svg(BOX, 'width="auto" height="auto" viewBox="0 0 100 100"'),
    "em": svg(BOX, 'width="1em" height="1em" viewBox="0 0 100 100"'),
    "percent": svg(BOX, 'width="100%" height="100%" viewBox="0 0 100 100"'),
    "one side": svg(BOX, 'width="3cm" viewBox="0 0 100 100"'),
    "lengths in percent": svg('<rect x="20%" y="20%" width="40%" height="30%" fill="red"/>'),
    "lengths in em": svg(
        '<g font-size="5"><rect x="2em" font-size="2em" y="2em" width="4em" height="3em"'
        ' fill="red"/></g>'
    ),
    "inherit": svg(f'<g fill="red">{BOX.replace("red", "inherit")}</g>'),
    "mask outside defs": svg(
        '<mask id="c"><rect width="90" height="90" fill="white"/></mask>'
        f'<g mask="url(#c)">{BOX}</g>'
    ),
    "opacity 0": svg(f'<g opacity="0"><rect width="100" height="100" opacity="1"/></g>{BOX}'),
    "clip path on a group": svg(
        f'<defs><clipPath id="c">{BOX}</clipPath></defs><g clip-path="url(#c)">{FULL}</g>'
    ),
    "clip path twice": svg(
        '<clipPath id="a"><rect x="20" width="80" height="50"/></clipPath>'
        '<clipPath id="b" clip-path="url(#a)"><rect y="20" width="60" height="80"/></clipPath>'
        + WHOLE.format('clip-path="url(#b)"')
    ),
    "mask": svg(
        f'<mask id="m">{BOX.replace("red", "white")}</mask>' + WHOLE.format('mask="url(#m)"')
    ),
    "mask on a mask": svg(
        f'<mask id="a">{BOX.replace("red", "white")}</mask>'
        '<mask id="m" mask="url(#a)"><rect width="100" height="100" fill="white"/></mask>'
        + WHOLE.format('mask="url(#m)"')
    ),
    "important": svg(
        "<style>.a{fill:#ff0000 !important}</style>"
        + BOX.replace("<rect", '<rect class="a" style="fill:lime"')
    ),
    "variable": svg(
        "<style>:root{--c:rgb(255,0,0)}.a{fill:var(--no, var(--c))}</style>"
        + BOX.replace('fill="red"', 'class="a"')
    ),
    "descendant": svg(
        "<style>#q > g rect:not(.b){fill:red} rect{fill:blue}</style>"
        f'<g id="q"><g>{BOX.replace("red", "lime")}</g></g>'
    ),
    "media": svg(
        '<style media="print">rect{fill:blue}</style><style>@media screen{rect{fill:red}}'
        f"@media print{{rect{{fill:lime}}}}</style>{BOX.replace('red', 'black')}"
    ),
    "not valid": svg(f'<g fill="red">{BOX.replace("red", "nonsense")}</g>'),
    "nested": svg(
        '<svg x="20" y="20" width="40" height="30" viewBox="0 0 4 3">'
        '<rect x="-9" width="99" height="99" fill="red"/></svg>'
    ),
    "nested, empty": svg(f'<svg width="0" height="9" overflow="visible">{FULL}</svg>{BOX}'),
    "symbol": svg(
        '<symbol id="s" viewBox="0 0 10 10"><rect width="10" height="10" fill="red"/></symbol>'
        '<use href="#s" x="20" y="20" width="30" height="30"/>'
        '<use xlink:href="#s" x="30" y="20" width="30" height="30"/>'
    ),
    "css transform": svg(
        BOX.replace('x="20" y="20"', 'style="transform: translate(20px, 20%) rotate(0.0turn)"')
    ),
    "css geometry": svg(
        "<style>rect{x:20px;width:40px}</style>" + BOX.replace('x="20"', "").replace("40", "5")
    ),
    "definitions": svg(
        "".join(
            f"<{tag} id='{tag}'>{FULL}</{tag}>"
            for tag in ("defs", "marker", "pattern", "clipPath", "mask", "symbol", "foo")
        )
        + BOX
    ),
    "switch": svg(f'<switch><g systemLanguage="de">{FULL}</g>{BOX}{FULL}</switch>'),
    "switch by features": svg(
        f"<switch><foreignObject>{FULL}</foreignObject>"
        '<g requiredFeatures="http://www.w3.org/TR/SVG11/feature#Extensibility">'
        f"{FULL}</g>{BOX}</switch>"
    ),
    "encoded name": svg(
        f'<clipPath id="é 1">{BOX}</clipPath>' + WHOLE.format('clip-path="url(#%C3%A9%201)"')
    ),
    "variable on a group": svg(
        f"<g style='--c:red'><g style='--d:blue'>{BOX.replace('red', 'var(--c)')}</g></g>".replace(
            'fill="var(--c)"', 'style="fill:var(--c)"'
        )
    ),
    "hidden by its dashes": svg(
        f'{BOX}<path d="M0 80h90" stroke="blue" stroke-dasharray="100" stroke-dashoffset="100"/>'
    ),
    "non-scaling stroke": svg(
        '<path d="M4 35H12" vector-effect="non-scaling-stroke" stroke="red" stroke-width="30"'
        ' stroke-dasharray="1000" transform="scale(5 1)"/>'
    ),
}


@pytest.mark.parametrize("name", BOXES)
def test_red_box(name):
    check(ours(BOXES[name]), box())


@pytest.mark.parametrize(
    ("body", "colour", "alpha"),
    [
        ('<g opacity=".5">' + BOX.replace("/>", ' opacity="50%"/></g>'), RED, 0.25),
        (BOX.replace("red", "rgb(255 0 0 / 50%)"), RED, 0.5),
        (BOX.replace("red", "#f008"), RED, 0x88 / 255),
        (BOX.replace("red", "hsl(120deg 100% 25%)"), (0, 0.5, 0), 1.0),
        (f'<g color="lime">{BOX.replace("red", "currentColor")}</g>', (0, 1, 0), 1.0),
        ('<mask id="m"><path d="M0 0h100v100H0" fill="gray"/></mask>'
         f'<g mask="url(#m)">{BOX}</g>', RED, 128 / 255),
    ],
)  # fmt: skip
def test_colours_and_opacities(body, colour, alpha):
    check(ours(svg(body)), box(colour, alpha))


BODIES = (
    # clip paths
    '<clipPath id="c" clipPathUnits="objectBoundingBox"><circle cx=".5" cy=".5" r=".4"/></clipPath>'
    + BOX.replace("/>", ' clip-path="url(#c)"/>'),
    '<clipPath id="c" clipPathUnits="objectBoundingBox"><path d="M.2.2h.6v.6z"/></clipPath>'
    f'<g transform="rotate(20 50 50)" clip-path="url(#c)">{BOX}<circle cx="70" cy="70" r="10"'
    ' transform="scale(1.1)"/></g>',
    '<clipPath id="c"><path clip-rule="evenodd" d="M10 10h60v60h-60z M20 20h30v30h-30z"/>'
    "</clipPath>" + WHOLE.format('clip-path="url(#c)"'),
    '<defs><path id="p" d="M0 0h20v20z"/></defs><clipPath id="c" transform="translate(10 10)">'
    '<use href="#p" x="20" y="10" transform="scale(1.5)"/><circle cx="30" cy="30" r="12"/>'
    "</clipPath>" + WHOLE.format('clip-path="url(#c)" transform="scale(.8)"'),
    '<clipPath id="c"><circle cx="50" cy="50" r="30"/></clipPath><g clip-path="url(#c)">'
    '<path d="M0 0L100 100" stroke="red" stroke-width="20"/></g>',
    f'{BOX}<clipPath id="c"/><rect width="100" height="100" clip-path="url(#c)"/>',
    # masks
    '<mask id="m"><rect width="100" height="100" fill="white"/><circle cx="50" cy="50" r="20"/>'
    '</mask><rect x="10" y="10" width="60" height="60" fill="red" mask="url(#m)"/>',
    '<mask id="m" maskContentUnits="objectBoundingBox"><circle cx=".5" cy=".5" r=".4" fill="#fff"/>'
    '</mask><rect x="10" y="10" width="60" height="60" fill="red" mask="url(#m)"/>',
    '<mask id="m" maskUnits="userSpaceOnUse" x="20" y="20" width="40" height="30" '
    'mask-type="alpha"><rect width="50" height="100"/></mask>' + WHOLE.format('mask="url(#m)"'),
    # dashes
    '<line y1="50" x2="100" y2="50" stroke="red" stroke-width="10" stroke-dasharray="10 10"/>',
    '<path d="M5 50C5 0 95 0 95 50S60 90 20 80" fill="none" stroke="red" stroke-width="6" '
    'stroke-dasharray="10 4 2" stroke-dashoffset="7"/>',
    '<circle cx="50" cy="50" r="30" fill="none" stroke="red" stroke-width="6" '
    'stroke-dasharray="10,5%" stroke-dashoffset="-7"/>',
    '<circle cx="50" cy="50" r="30" fill="none" stroke="red" stroke-width="6" '
    'stroke-dasharray="0 12" stroke-linecap="round"/>',
    # strokes
    '<g transform="scale(3 1)"><circle cx="15" cy="50" r="10" fill="none" stroke="red" '
    'stroke-width="5"/></g>',
    '<circle paint-order="stroke" cx="50" cy="50" r="30" fill="red" stroke="blue" '
    'stroke-width="20"/>',
    '<path d="M20 50h0 M70 50z" stroke="red" stroke-width="20" stroke-linecap="round"/>'
    '<path d="M20 80h0" stroke="red" stroke-width="20"/>',
    # see-through groups
    f'<g opacity=".5">{BOX}<circle cx="50" cy="50" r="20" fill="blue"/></g>',
    f'<g opacity=".5" fill="lime">{BOX}<path d="M10 20L70 60" stroke="blue" stroke-width="9" '
    'stroke-linecap="round"/></g>',
    '<circle cx="50" cy="50" r="30" fill="red" stroke="blue" stroke-width="20" opacity=".4"/>',
    # viewports
    '<svg x="20" y="20" width="40" height="30"><circle r="30" fill="red"/></svg>',
    '<svg x="20" y="20" width="40" height="30" overflow="visible"><circle r="30"/></svg>',
    '<svg x="20" y="20" width="40" height="30" viewBox="0 0 10 10" '
    'preserveAspectRatio="xMaxYMin slice"><circle cx="5" cy="5" r="5" fill="red"/></svg>',
    '<symbol id="s" viewBox="0 0 10 10" preserveAspectRatio="none"><circle cx="5" cy="5" r="6"/>'
    '</symbol><use href="#s" x="20" y="20" width="40" height="30"/>',
    '<defs><svg id="n" width="10" height="10" viewBox="0 0 5 5"><rect width="5" height="5"/></svg>'
    '</defs><use href="#n" x="20" y="20" width="30" height="30"/><use href="#n" x="70" y="70"/>',
    # shapes and paths
    '<path fill-rule="evenodd" d="M50 5L20 95 95 35H5L80 95z" fill="red"/>',
    '<rect x="20" y="20" width="40" height="30" rx="8"/><ellipse cx="70" cy="80" rx="12"/>',
    '<path d="M50 10a40 20 30 0 1 30 30 40 20 30 1 1-60 20z" fill="red"/>',
    '<path d="M10 50q20-40 40 0t40 0 L90 90 T 10 90z" fill="red"/>',
    '<path d="M10-.5.5.5e1L90,50l-40,40a9 9 0 0110 10z" fill="red"/>',
    '<g transform="translate(50,50) rotate(30) skewX(20) scale(2,1.5)"><rect width="20" '
    'height="10" transform="matrix(1 0 0 1 -3 2)" fill="red"/></g>',
    '<rect x="5mm" y="10pt" width="1cm" height="0.3in" fill="red"/>'
    '<circle cx="2pc" cy="70px" r="5"/>',
)  # fmt: skip


@pytest.mark.parametrize("body", BODIES)
def test_like_resvg(body):
    text = svg(body)
    check(ours(text), theirs(text))


@pytest.mark.parametrize(
    "head",
    [
        'width="50mm" height="50mm" viewBox="-20 -20 140 140"',
        'width="50" height="50" viewBox="0 0 100 50" preserveAspectRatio="xMaxYMid slice"',
        'width="50" height="50" viewBox="0,0 100,50" preserveAspectRatio="none" opacity=".5"',
    ],
)
def test_heads_like_resvg(head):
    text = svg(BOX, head)
    check(ours(text), theirs(text))
