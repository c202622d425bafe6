"""A picture's shape and a model's cells → the size of what is made of it, and what that cuts away.

``image.png`` gets its size in three steps: `canvas_of` says how large the picture is that CLIP
guides; `final_size` scales that to the longer side that the options ask for (pixel art: to whole
cells), which `Technique.final_size` hands to the run; a technique that asks for none takes
`Generator.final_size`. `Generator.render` then makes the picture at that size.

A picture that is brought keeps its shape where no size is asked for: it is made as large as the
model's own pictures, in whole cells, and of the sizes about as large that of which the least has
to be cut is taken.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from guidance.conventions import MAX_SIDE, MIN_SIDE
from guidance.errors import InputError
from guidance.images import load_image
from guidance.images.parse import parse_canvas

Size = tuple[int, int]  # height and width, pixels

SIDE = 224  # pixels, as most CLIPs see
REACH = 1.3  # a size has at most so many times, or one so many-th of, the pixels asked for
CUT = 10.0  # cutting away 1 % is as bad as 10 % more or fewer pixels


def canvas_of(size: str | None, shape: Size | None, multiple: int = 1) -> Size:
    """Return the size of a picture that CLIP guides.

    Args:
        size: as people write it; without one it has about `SIDE` x `SIDE` pixels.
        shape: of the picture that it starts from, whose ratio it then has; None for a square.
        multiple: both of its sides are then multiples of it.
    """
    if size is not None:
        return parse_canvas("size", size)
    return (SIDE, SIDE) if shape is None else fit_size(shape, SIDE * SIDE, multiple)


def final_size(canvas: Size, longer: int) -> Size:
    """Return the size of ``image.png``: that of the canvas, scaled to a `longer` side in pixels.

    Example:
        >>> final_size((184, 276), 1024), final_size((184, 276), 0)
        ((683, 1024), (184, 276))
    """
    most = max(canvas)
    scale = (longer or most) / most
    height, width = (min(MAX_SIDE, max(1, round(side * scale))) for side in canvas)
    return height, width


def fit_size(shape: Size, pixels: int, multiple: int, added: Size = (0, 0)) -> Size:
    """Return the size that a picture of `shape` gets.

    Args:
        shape: height and width of the picture, of which only the ratio counts.
        pixels: how many there should be about.
        multiple: both sides and what is `added` to them are together multiples of it.
        added: rows and columns around the picture. Where there are any, they make up for what is
            missing to a multiple, so that nothing of the picture is cut.

    Example:
        >>> fit_size((144, 192), 128 * 128, 8), fit_size((500, 500), 128 * 128, 8)
        ((120, 160), (128, 128))
    """
    height, width = shape
    steps = [1 if more else multiple for more in added]

    def fault(size: Size) -> float:
        gained = [(-side - more) % multiple for side, more in zip(size, added, strict=True)]
        moved = sum(gain / side for gain, side in zip(gained, size, strict=True))
        ratio = size[0] * width / (size[1] * height)
        cut = 1 - min(ratio, 1 / ratio)
        return CUT * (cut + moved) + abs(math.log(size[0] * size[1] / pixels))

    found = list(_sizes(height / width, pixels, steps))
    if any(added):
        found = [size for size in found if cropped(shape, size) == shape] or found
    return min(found, key=fault)


def _sizes(ratio: float, pixels: int, steps: list[int]) -> Iterator[Size]:
    """Yield sizes of about so many pixels and this ratio of height and width."""
    least = [math.ceil(MIN_SIDE / step) * step for step in steps]
    most = [MAX_SIDE // step * step for step in steps]
    ideal = math.sqrt(pixels * ratio)
    low, high = (min(most[0], max(least[0], ideal * f)) for f in (REACH**-0.5, REACH**0.5))
    for row in range(math.floor(low / steps[0]), math.ceil(high / steps[0]) + 1):
        rows = min(most[0], max(least[0], row * steps[0]))
        wanted = rows / ratio
        if 1 not in steps:  # a strip is rather cut than made too large
            wanted = min(wanted, REACH * pixels / rows)
        for column in (math.floor(wanted / steps[1]), math.ceil(wanted / steps[1])):
            yield rows, min(most[1], max(least[1], column * steps[1]))


def cropped(shape: Size, size: Size) -> Size:
    """Return the part about the middle of a picture of `shape` that fills `size`, in its pixels.

    It is all of it where less than a pixel of the result would be cut away.
    """
    height, width = shape
    scale = max(size[0] / height, size[1] / width)
    rows, columns = size[0] / scale, size[1] / scale
    if (height - rows) * scale < 1 and (width - columns) * scale < 1:
        return height, width
    return max(1, round(rows)), max(1, round(columns))


def tell_crop(option: str, path: str | os.PathLike, shape: Size, size: Size) -> list[str]:
    """Return a line about what `size` takes of a picture or film, none if that is all of it."""
    part = cropped(shape, size)
    if part == shape:
        return []
    return [
        f"{option}: {path} is {_text(shape)}; its middle, {_text(part)}, fills the picture of "
        f"{_text(size)}"
    ]


def _upright(path: Path) -> Size:
    image = load_image(path)
    return image.height, image.width


def shape_of(path: str | os.PathLike, read: Callable[[Path], Size] = _upright) -> Size:
    """Return height and width of an image file, upright, pixels.

    Args:
        read: finds them out; called once for a file, as long as that does not change.

    Raises:
        FileError: it cannot be read.
    """
    path = Path(path)
    state = path.stat() if path.is_file() else None
    return _shape_of(path, state and (state.st_mtime_ns, state.st_size, state.st_ino), read)


@lru_cache(maxsize=64)
def _shape_of(path: Path, state: object, read: Callable[[Path], Size]) -> Size:
    return read(path)


def check_mask(mask: str | os.PathLike, init: str | os.PathLike, size: Size) -> None:
    """Raise `InputError` unless a mask has the shape of the picture it is for, or of the result."""
    own, shape = shape_of(mask), shape_of(init)
    if all(cropped(own, other) != own and cropped(other, own) != other for other in (shape, size)):
        raise InputError(
            f"mask must have the shape of the init image, {_text(shape)}, but {mask} is "
            f"{_text(own)}"
        )


def check_multiple(name: str, factor: int, size: Size) -> None:
    """Raise `InputError`, naming the nearest valid sizes, unless `factor` divides both sides."""
    if any(side % factor or side == 0 for side in size):
        raise InputError(
            f"size must be a multiple of {factor} pixels for {name} but is {_text(size)}; the "
            f"nearest are {' and '.join(map(_text, nearest_sizes(factor, size)))}"
        )


def nearest_sizes(factor: int, size: Size) -> list[Size]:
    """Return the two sizes nearest to `size` whose sides are multiples of `factor`."""
    least, most = math.ceil(MIN_SIDE / factor) * factor, MAX_SIDE // factor * factor
    sides = [
        {min(most, max(least, (side // factor + more) * factor)) for more in (-1, 0, 1, 2)}
        for side in size
    ]
    both = [(rows, columns) for rows in sides[0] for columns in sides[1]]
    return sorted(both, key=lambda found: (math.dist(found, size), found))[:2]


def _text(size: Size) -> str:
    height, width = size
    return f"{width}x{height}"
