"""SVG in: elements and files of other programs are read, nonsense is refused."""

import math

import pytest
import torch
from scenes import make_scene

from guidance.errors import FileError, InputError
from guidance.vector.raster import render
from guidance.vector.scene import Scene
from guidance.vector.svg.reader import from_svg
from guidance.vector.svg.writer import to_svg


def svg(body: str, head: str = 'viewBox="0 0 100 50"') -> str:
    return f'<svg xmlns="http://www.w3.org/2000/svg" {head}>{body}</svg>'


def picture(scene: Scene, height: int = 50, width: int = 100) -> torch.Tensor:
    """Return how dark each pixel is, [H, W]."""
    return 1 - render(scene, height, width, (1.0, 1.0, 1.0))[0].mean(0)


@pytest.mark.parametrize(
    ("body", "area"),
    [
        ('<rect x="10" y="10" width="30" height="20"/>', 600),
        ('<rect x="10" y="10" width="30" height="20" rx="5"/>', 600 - (4 - math.pi) * 25),
        ('<circle cx="50" cy="25" r="20"/>', math.pi * 400),
        ('<ellipse cx="50" cy="25" rx="20" ry="10"/>', math.pi * 200),
        ('<polygon points="10,10 40,10 40,40"/>', 450),
        ('<polyline points="10,10 40,10 40,40"/>', 450),
        ('<path d="M10 10h30v30"/>', 450),
        ('<path d="M10 10H40V40L10 10Z" fill-opacity="0.5"/>', 225),
        ('<path d="M10 10H40V40L10 10Z" opacity="50%"/>', 225),
        ('<path d="M10 10H40V40L10 10Z" fill="#808080"/>', 450 * 127 / 255),
        ('<path d="M50 5 A20 20 0 1 1 50 45 A20 20 0 1 1 50 5"/>', math.pi * 400),
        ('<path d="M10 10 Q 40 10 40 40 L 10 40 Z"/>', 750),
        ('<path d="M10 10h30v30h-30z M20 20v10h10v-10z"/>', 900 - 100),
        ('<g transform="translate(10 0) scale(2 1)"><rect width="10" height="5"/></g>', 100),
        ('<rect width="10" height="10" style="fill:none;stroke:black;stroke-width:2"/>', 0),
        (
            '<line x1="10" y1="25" x2="60" y2="25" stroke="black" stroke-width="4"/>',
            200 + 4 * math.pi,
        ),
        (
            '<g transform="scale(2)"><line x1="5" y1="5" x2="9" y2="5" stroke="#000"/></g>',
            16 + math.pi,
        ),
        ('<style>.a{fill:none}</style><rect class="a" width="9" height="9" stroke="black"/>', None),
        ('<defs><rect id="r" width="5" height="5"/></defs><use href="#r" x="20" y="20"/>', 25),
        ('<rect width="5" height="5"/><rect width="50" height="50" display="none"/>', 25),
        ('<rect width="5" height="5"/><rect width="50" height="50" visibility="hidden"/>', 25),
        ('<g color="#000"><rect width="5" height="5" fill="currentColor"/></g>', 25),
    ],
)
def test_elements(body, area):
    dark = picture(from_svg(svg(body)))
    assert float(dark.max()) > 0.3
    if area:
        assert float(dark.sum()) == pytest.approx(area, rel=0.02)


def test_fill_and_stroke_become_two_shapes_in_order():
    scene = from_svg(svg('<circle cx="9" cy="9" r="5" fill="red" stroke="#00f" stroke-width="2"/>'))
    assert scene.closed.tolist() == [True, False]
    assert scene.colors.tolist() == [[1, 0, 0, 1], [0, 0, 1, 1]]
    assert float(scene.widths[1]) == pytest.approx(2 / 50)


def test_sub_paths_go_on_after_closing():
    scene = from_svg(svg('<path d="M10 10h10v10z h-5 M40 40h5" fill="none" stroke="red"/>'))
    assert scene.counts.tolist() == [3, 1, 1]


def test_gradients_become_their_mean():
    stops = '<stop offset="0" stop-color="red"/><stop offset="1" style="stop-color:#00f"/>'
    body = (
        f'<defs><linearGradient id="a">{stops}</linearGradient>'
        '<radialGradient id="b" href="#a"/></defs>'
        '<rect width="5" height="5" fill="url(#b)"/>'
    )
    assert from_svg(svg(body)).colors.tolist() == [[0.5, 0.0, 0.5, 1.0]]


def test_width_and_height_stand_in_for_a_view_box():
    scene = from_svg(svg('<line x2="20" y2="40" stroke="red"/>', 'width="40px" height="80"'))
    torch.testing.assert_close(scene.points[0, 3], torch.tensor([0.5, 0.5]))


def test_what_is_left_out_is_said():
    body = '<rect width="5" height="5"/><text>hi</text><rect width="5" height="5" fill="url(#no)"/>'
    with pytest.warns(
        UserWarning, match="left out 1 × fill by pattern or missing gradient, 1 × text"
    ):
        assert len(from_svg(svg(body))) == 1


def test_files(tmp_path):
    path = tmp_path / "drawing.svg"
    path.write_text(to_svg(make_scene(3, seed=0), (10, 10)), encoding="utf-8")
    assert len(from_svg(path)) == len(from_svg(str(path))) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<", "not well-formed"),
        ("<html/>", "its root is <html>"),
        ("<svg/>", "must state a viewBox or a width and height"),
        (svg(""), "no visible stroke or fill"),
        (svg('<rect width="5" height="5" fill="none"/>'), "no visible stroke or fill"),
        (svg('<rect width="5" height="5"/>', 'width="0" height="0"'), "size above zero"),
        (svg('<rect width="5" height="5"/>' * 11), "at most 10 shapes"),
        (svg('<path d="M0 0L1e999 5L5 5"/>'), "finite coordinates"),
        (svg('<g id="a"><use href="#a"/></g>'), "must be a valid SVG drawing|no visible"),
    ],
)
def test_text_that_is_no_drawing(text, message):
    with pytest.raises(InputError, match=message):
        from_svg(text, max_shapes=10)


def test_files_that_are_no_drawing(tmp_path):
    with pytest.raises(FileError, match=r"none\.svg cannot be read: No such file"):
        from_svg(tmp_path / "none.svg")
    with pytest.raises(FileError, match="cannot be read: Is a directory"):
        from_svg(tmp_path)
    (tmp_path / "empty.svg").write_text("")
    with pytest.raises(FileError, match="not well-formed"):
        from_svg(tmp_path / "empty.svg")
    (tmp_path / "photo.svg").write_bytes(b"\x89PNG\r\n\x1a\n\xff\xfe")
    with pytest.raises(FileError, match="not text in UTF-8"):
        from_svg(tmp_path / "photo.svg")


def test_absurd_sizes_are_refused(tmp_path, monkeypatch):
    path = tmp_path / "huge.svg"
    with path.open("wb") as file:
        file.truncate(2**26)
    with pytest.raises(FileError, match="at most 33554432 bytes"):
        from_svg(path)
    long = '<path d="M0 0' + "h1" * 2000 + '"/>'
    with pytest.raises(InputError, match="at most 4194304 points"):
        from_svg(svg(long + '<path d="M0 0h1v1"/>' * 1000))


def test_entity_bombs_are_refused():
    bomb = '<!DOCTYPE svg [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
    )
    with pytest.raises(InputError, match="not well-formed"):
        from_svg(f"{bomb}]>" + svg("<desc>&j;</desc>"))
