"""Small drawings for the tests of the SVG reader, as we and resvg show them."""

import io

import numpy as np
import resvg_py
from PIL import Image

from guidance.vector.raster import render
from guidance.vector.svg.reader import from_svg

RED = (1.0, 0.0, 0.0)
BOX = '<rect x="20" y="20" width="40" height="30" fill="red"/>'
WHOLE = '<rect width="100" height="100" fill="red" {}/>'
FULL = WHOLE.format("")


def svg(body: str, head: str = 'viewBox="0 0 100 100"') -> str:
    space = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    return f"<svg {space} {head}>{body}</svg>"


def ours(source, size: int = 100) -> np.ndarray:
    """Return the picture of a drawing on white, [H, W, 3]."""
    return render(from_svg(source), size, size).permute(0, 2, 3, 1)[0].numpy()


def theirs(text: str, size: int = 100) -> np.ndarray:
    """Return the same by resvg."""
    png = resvg_py.svg_to_bytes(
        svg_string=text, width=size, height=size, background="#ffffff", dpi=96,
        languages=["en"], skip_system_fonts=True,
    )  # fmt: skip
    return np.asarray(Image.open(io.BytesIO(bytes(png))).convert("RGB")) / 255


def box(colour=RED, alpha: float = 1.0) -> np.ndarray:
    """Return the box from (20, 20) to (60, 50) on white."""
    picture = np.ones((100, 100, 3))
    picture[20:50, 20:60] += alpha * (np.array(colour) - 1)
    return picture


def check(picture: np.ndarray, expected: np.ndarray) -> None:
    assert picture.shape == expected.shape
    assert float(np.abs(picture - expected).mean()) < 0.004
