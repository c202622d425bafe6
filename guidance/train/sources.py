"""Where the training pictures come from: folder or shard → `Picture`s with captions.

Each function takes a path and yields `Picture`s. Drawings are premultiplied RGBA on a transparent
canvas, so that the training can put them on any background; photos are RGB.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image

SIDE = 144  # pixels; the image tower sees random crops of this canvas at 128 pixels
MARGIN = 3  # transparent border around a drawing, pixels

# Iconify sets: (licence of the set, sampling weight). Share-alike sets are left out.
ICON_SETS = {
    "noto": ("Apache-2.0", 1.0),
    "noto-v1": ("Apache-2.0", 1.0),
    "twemoji": ("CC-BY-4.0", 1.0),
    "fluent-emoji": ("MIT", 1.0),
    "fluent-emoji-flat": ("MIT", 1.0),
    "emojione": ("CC-BY-4.0", 1.0),
    "fxemoji": ("Apache-2.0", 1.0),
    "streamline-emojis": ("CC-BY-4.0", 1.0),
    "streamline-kameleon-color": ("CC-BY-4.0", 0.7),
    "streamline-stickies-color": ("CC-BY-4.0", 0.5),
    "streamline-ultimate-color": ("CC-BY-4.0", 0.4),
    "streamline-freehand-color": ("CC-BY-4.0", 0.4),
    "streamline-cyber-color": ("CC-BY-4.0", 0.4),
    "streamline-plump-color": ("CC-BY-4.0", 0.3),
    "flat-color-icons": ("MIT", 0.3),
    "meteocons": ("MIT", 0.3),
    "marketeq": ("MIT", 0.3),
    "icon-park": ("Apache-2.0", 0.3),
}

_SKIP_ICON = re.compile(
    r"skin-tone|-(light|medium|dark)$|^flag-|-flag-for|^keycap|^letter-|regional-indicator|button$"
    r"|o-?clock|-thirty|^clock-face|^family|^kiss-|^couple-with|holding-hands|^squared|^negative"
    r"|^input-|logo|^app-|^ui-|browser|arrow|^text-|^form-|^data-|^content-|^layout|^align"
    r"|cursor|-badge$|^file-|^folder-|^user-|^uv-index|beaufort|^code-|sign-of"
)
_STYLE_WORDS = {"duo", "flat", "fill", "color", "line", "alt", "circle", "square"}
_CLIP_ART_SKIP = {"logos", "buttons", "signs_and_symbols", "geography", "special", "office"}
_KEYWORD_SKIP = {
    "clipart", "clip art", "clip_art", "unsorted", "image", "media", "public domain", "png", "svg",
    "externalsource", "color", "contour", "black and white", "line art", "icon", "symbol",
    "drawing",
}  # fmt: skip


@dataclass(frozen=True)
class Picture:
    """One picture: pixels uint8 ``[SIDE, SIDE, 3 or 4]``, its captions and its origin.

    `templated` tells that the captions are bare names ("fox face"), to be put into sentences.
    """

    pixels: np.ndarray
    captions: tuple[str, ...]
    source: str
    licence: str
    weight: float = 1.0
    templated: bool = False
    key: str = ""
    label: str = ""


def icon_name(name: str) -> str | None:
    """Turn an icon's identifier into a caption, or None if it is not worth learning.

    Example:
        >>> icon_name("fox-face"), icon_name("sofa-3-duo"), icon_name("flag-peru")
        ('fox face', 'sofa', None)
    """
    if _SKIP_ICON.search(name):
        return None
    words = [w for w in re.split(r"[-_ ]+", name.lower()) if w and not w.isdigit()]
    while len(words) > 1 and words[-1] in _STYLE_WORDS:
        words.pop()
    text = " ".join(words)
    return text if 2 < len(text) < 48 else None


def segment(run: str, words: set[str]) -> str:
    """Split words written together, with the fewest words; unchanged if it cannot be split.

    Example:
        >>> segment("clinkingbeermugs", {"clinking", "beer", "mugs"})
        'clinking beer mugs'
    """
    best: list[list[str] | None] = [[]] + [None] * len(run)
    for end in range(1, len(run) + 1):
        for start in range(max(0, end - 20), end):
            head = best[start]
            if head is not None and run[start:end] in words:
                known = best[end]
                if known is None or len(head) + 1 < len(known):
                    best[end] = [*head, run[start:end]]
    found = best[-1]
    return " ".join(found) if found else run


def fit(image: Image.Image) -> np.ndarray | None:
    """Crop an RGBA drawing to what is visible, centre it and premultiply: uint8 ``[S, S, 4]``.

    Returns None for an empty drawing.
    """
    image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 6:
        return None
    image = image.crop(box)
    scale = (SIDE - 2 * MARGIN) / max(image.size)
    size = tuple(max(1, round(s * scale)) for s in image.size)
    image = image.resize(size, Image.Resampling.BICUBIC)
    canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels = np.asarray(image).astype(np.float32)
    pixels[..., :3] *= pixels[..., 3:] / 255
    top, left = (SIDE - size[1]) // 2, (SIDE - size[0]) // 2
    canvas[top : top + size[1], left : left + size[0]] = np.round(pixels)
    return canvas


def render_svg(svg: str) -> np.ndarray | None:
    """Render SVG text to a fitted drawing ``[SIDE, SIDE, 4]``; None if it cannot be drawn."""
    import resvg_py

    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=160, skip_system_fonts=True))
        return fit(Image.open(io.BytesIO(png)))
    except (ValueError, OSError):
        return None


def icon_jobs(folder: Path) -> Iterator[tuple[str, tuple[str, ...], str, str, float]]:
    """Yield (svg, captions, source, licence, weight) for the icons of ``folder/json/SET.json``."""
    sets = {name: json.loads((folder / "json" / f"{name}.json").read_text()) for name in ICON_SETS}
    words = {w for n in sets if n != "fxemoji" for i in sets[n]["icons"] for w in i.split("-") if w}
    for name, (licence, weight) in ICON_SETS.items():
        data, seen = sets[name], set()
        for key, icon in data["icons"].items():
            text = icon_name(segment(key, words) if name == "fxemoji" else key)
            if text is None or icon.get("hidden") or (weight < 1 and text in seen):
                continue
            seen.add(text)
            width = icon.get("width", data.get("width", 16))
            height = icon.get("height", data.get("height", 16))
            box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
            svg = (
                '<svg xmlns="http://www.w3.org/2000/svg" '
                'xmlns:xlink="http://www.w3.org/1999/xlink" '
                f'viewBox="{box}" width="{width}" height="{height}">{icon["body"]}</svg>'
            )
            yield svg, (text,), f"iconify:{name}", licence, weight


def clip_art_jobs(
    folder: Path, vocabulary: set[str], limit: int = 300_000
) -> Iterator[tuple[str, tuple[str, ...], str, str, float]]:
    """Yield jobs for the Open Clip Art files of at most `limit` bytes with usable captions.

    A title or keyword is kept if one of its words is in `vocabulary`, which drops the many titles
    that are file names or the artist's name.
    """
    for path in sorted(folder.rglob("*.svg")):
        parts = path.relative_to(folder).parts
        if parts[0] in _CLIP_ART_SKIP or "flags" in parts or path.stat().st_size > limit:
            continue
        try:
            svg = path.read_text("utf-8", errors="replace")
            captions = _clip_art_captions(svg, vocabulary, set(parts[:-1]))
        except ElementTree.ParseError:
            continue
        if captions:
            yield svg, captions, "openclipart", "public domain", 0.7


def _clip_art_captions(svg: str, vocabulary: set[str], folders: set[str]) -> tuple[str, ...]:
    def named(tag: str) -> list[str]:
        nodes = root.iter("{http://purl.org/dc/elements/1.1/}" + tag)
        return [n.text for n in nodes if n.text]

    def clean(text: str) -> str:
        text = re.sub(r"[_\-\s]+", " ", text.lower())
        return re.sub(r"[^a-z' ,]|\b\w?\b(?=\d)", "", text).strip(" ,")

    root = ElementTree.fromstring(svg)
    rdf_li = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}li"
    title = clean(next(iter(named("title")), ""))
    words = [clean(n.text) for n in root.iter(rdf_li) if n.text]
    words = [w for w in dict.fromkeys(words) if w and w not in _KEYWORD_SKIP and len(w) > 2]
    known = [w for w in words if w in vocabulary][:12]
    captions = []
    if any(w in vocabulary and len(w) > 2 for w in title.split()) and len(title) < 60:
        captions.append(title)
    specific = [w for w in known if w not in folders and w + "s" not in folders]
    if specific:
        captions.append(", ".join(specific[:3]))
        if not captions[:-1]:
            captions.append(specific[0])
    return tuple(dict.fromkeys(captions))


def stamps(folder: Path) -> Iterator[Picture]:
    """Yield Tux Paint stamps: ``NAME.png`` or ``NAME.svg`` with the caption in ``NAME.txt``."""
    for note in sorted(folder.rglob("*.txt")):
        caption = note.read_text("utf-8", errors="replace").splitlines()[0].strip(" .!")
        svg, png = note.with_suffix(".svg"), note.with_suffix(".png")
        if not 2 < len(caption) < 60:
            continue
        if png.exists():
            pixels = fit(Image.open(png))
        elif svg.exists():
            pixels = render_svg(svg.read_text("utf-8", errors="replace"))
        else:
            continue
        caption = re.sub(r"^(a|an|the) ", "", caption.lower())
        if pixels is not None:
            yield Picture(pixels, (caption,), "tuxpaint-stamps", "GPL-2.0", 1.0, True)


def shard(path: Path) -> Iterator[Picture]:
    """Yield the pictures of one WebDataset tar: ``KEY.jpg`` followed by ``KEY.json``.

    Line drawings (source "quickdraw") become black ink on a transparent canvas.
    """
    image = None
    with tarfile.open(path) as tar:
        for member in tar:
            handle = tar.extractfile(member)
            if handle is None:
                continue
            if not member.name.endswith(".json"):
                image = Image.open(io.BytesIO(handle.read())).convert("RGB")
                continue
            meta = json.loads(handle.read())
            ink = meta["source"] == "quickdraw"
            yield Picture(
                _ink(image) if ink else _square(image),
                tuple(dict.fromkeys(meta["captions"])),
                meta["source"],
                meta["license"],
                key=member.name[:-5],
                label=meta.get("label", ""),
            )


def _square(image: Image.Image) -> np.ndarray:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _ink(image: Image.Image) -> np.ndarray:
    canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
    canvas[..., 3] = 255 - np.asarray(image.convert("L").resize((SIDE, SIDE)))
    return canvas
