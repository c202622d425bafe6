"""Ranking → one web page that needs nothing else: pictures inside, keys to walk through them.

The page works from ``file://``; its content security policy lets it load nothing at all.
"""

from __future__ import annotations

import base64
import html
import io
import json
import math
import os
import re
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from guidance.errors import FileError, counted
from guidance.files.writing import printable, write
from guidance.images import load_image
from guidance.pretrained.packaged import packaged
from guidance.score.ranking import Ranked

GALLERY_IMAGES = 500  # a page of more is slow to open
SIDES = ((60, 512), (200, 384), (GALLERY_IMAGES, 256))  # up to so many images, pixels a side
QUALITY = 84


def write_gallery(
    path: str | os.PathLike, ranked: Sequence[Ranked], *, title: str, progress: bool = False
) -> int:
    """Write the page, the images in their order; return how many it shows.

    Args:
        path: files are linked relative to its folder.
        ranked: images with ``parts`` and ``group`` if they have any (`guidance.rerank.scoring`).
        title: heading of the page.
        progress: show a bar if it takes longer than 2 seconds.

    Raises:
        FileError: no image can be read any more, or the page cannot be written.
    """
    ranked = ranked[:GALLERY_IMAGES]
    side = next(side for most, side in SIDES if len(ranked) <= most)
    items, names = [], {}
    for entry in tqdm(ranked, unit="thumbnail", disable=not progress, delay=2, dynamic_ncols=True):
        try:
            image = thumbnail(entry.file, side)
        except FileError:
            continue  # it was there when it was scored
        scores = _scores(entry)
        names |= dict.fromkeys(scores)
        items.append(_item(entry, scores, image, Path(path).parent))
    if not items:
        raise FileError(f"none of the images for {path} can be read any more")
    with packaged("rerank/page.html") as file:
        page = file.read_text(encoding="utf-8")
    parts = {
        "title": html.escape(printable(title)),
        "side": str(side),
        "count": counted(len(items), "image"),
        "orders": "".join(map(_order, names)),
        "items": "\n".join(items),
    }
    # in one pass, since a title or name may look like a field itself
    write(path, re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], page))
    return len(items)


def thumbnail(source: str | os.PathLike, side: int) -> tuple[str, tuple[int, int]]:
    """Return an image within `side` pixels as a ``data:`` URI, and its size.

    Nothing of the file but its pixels goes into it: no place, camera or prompt.
    """
    image = load_image(source, min_side=side)
    image.thumbnail((side, side), Image.Resampling.LANCZOS)
    data = io.BytesIO()
    image.save(data, "JPEG", quality=QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode(), image.size


def _scores(entry: Ranked) -> dict[str, float | None]:
    found = {"rank": entry.rank, "score": entry.score, **getattr(entry, "parts", {})}
    if (group := getattr(entry, "group", None)) is not None:
        found["group"] = group
    return {
        name: None if not math.isfinite(value) else value if name in ("rank", "group")
        else round(value, 4)
        for name, value in found.items()
    }  # fmt: skip


def _item(entry: Ranked, scores: dict, image: tuple[str, tuple[int, int]], folder: Path) -> str:
    uri, (width, height) = image
    name = printable(entry.file.name)
    group = f", group {scores['group']} of near-duplicates" if "group" in scores else ""
    alt = f"{name}, rank {entry.rank}, score {entry.score:.3f}{group}"
    link = _link(entry.file, folder)
    data = {
        "name": name,
        "file": link,
        "text": f"{printable(entry.source)}{group}",
        "scores": json.dumps(scores),
    }
    attributes = " ".join(f'data-{k}="{html.escape(v)}"' for k, v in data.items())
    badge = f" · group {scores['group']}" if "group" in scores else ""
    return (
        f'<li {attributes}><button class="card" type="button" tabindex="-1">'
        f'<img src="{uri}" alt="{html.escape(alt)}" width="{width}" height="{height}">'
        f"<span><b>{entry.rank}</b><i>{entry.score:.3f}{badge}</i>"
        f"<small>{html.escape(name)}</small></span></button></li>"
    )


def _link(source: Path, folder: Path) -> str:
    """Return where a file lies, seen from the folder of the page, as a URL."""
    try:
        relative = os.path.relpath(source, folder)
    except ValueError:  # on another drive
        return source.resolve().as_uri()
    return "./" + urllib.parse.quote(os.fsencode(Path(relative).as_posix()))


def _order(name: str) -> str:
    up = name in ("rank", "group")
    value = html.escape(("+" if up else "-") + name)
    return f'<option value="{value}">by {html.escape(name)}</option>'
