"""Where training drawings come from: iconify, Open Clip Art, Tux Paint and doodles → `Drawing`s.

Drawings keep their transparency, so that the training can put them on any background.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from PIL import Image, ImageOps

from guidance.data import Sample
from guidance.images.collect import is_hidden
from guidance.images.read import load_image
from guidance.train.data import names
from guidance.train.data.options import TEST_SET

SIDE = 144  # pixels; the training sees random crops of this canvas
MARGIN = 3  # transparent border around a drawing, pixels

# Iconify sets: (licence of the set, sampling weight). Share-alike sets are left out.
EMOJI_SETS = {
    "noto": ("Apache-2.0", 1.0),
    "noto-v1": ("Apache-2.0", 1.0),
    "twemoji": ("CC-BY-4.0", 1.0),
    "fluent-emoji": ("MIT", 1.0),
    "fluent-emoji-flat": ("MIT", 1.0),
    "emojione": ("CC-BY-4.0", 1.0),
    "fxemoji": ("Apache-2.0", 1.0),
}
ICON_SETS = {
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
    "fluent-color": ("MIT", 0.3),
    "flat-ui": ("MIT", 0.4),
    "streamline-color": ("CC-BY-4.0", 0.25),
    "streamline-flex-color": ("CC-BY-4.0", 0.25),
    "streamline-sharp-color": ("CC-BY-4.0", 0.25),
    "game-icons": ("CC-BY-3.0", 0.3),
    "emojione-monotone": ("CC-BY-4.0", 0.4),
    "fluent-emoji-high-contrast": ("MIT", 0.4),
}
# Emoji with text, people and flags are many and say little about what things look like.
_RARE = re.compile(
    r"^flag-|-flag-for|^keycap|^letter-|regional-indicator|button$|o-?clock|-thirty|^family"
    r"|^kiss-|^couple-with|holding-hands|^squared|^negative|arrow|^(wo)?m[ae]n-|^person-"
)
RARE_WEIGHT = 0.35

_CLIP_ART_SKIP = {"logos", "buttons", "signs_and_symbols", "geography", "special", "office"}
_KEYWORD_SKIP = {
    "clipart", "clip art", "clip_art", "unsorted", "image", "media", "public domain", "png", "svg",
    "externalsource", "color", "contour", "black and white", "line art", "icon", "symbol",
    "drawing",
}  # fmt: skip


@dataclass(frozen=True)
class Job:
    """A drawing to be rendered from SVG text."""

    svg: str
    sample: Sample


def fit(image: Image.Image) -> Image.Image | None:
    """Crop an RGBA drawing to what is visible and centre it on a canvas of `SIDE` pixels.

    Returns None for an empty drawing.
    """
    image = image.convert("RGBA")
    box = image.getchannel("A").point(lambda a: 255 * (a > 8)).getbbox()
    if box is None or min(box[2] - box[0], box[3] - box[1]) < 6:
        return None
    image = ImageOps.contain(
        image.crop(box).convert("RGBa"),  # premultiplied: no dark seams
        (SIDE - 2 * MARGIN, SIDE - 2 * MARGIN),
        Image.Resampling.BICUBIC,
    )
    canvas = Image.new("RGBa", (SIDE, SIDE))
    canvas.paste(image, ((SIDE - image.width) // 2, (SIDE - image.height) // 2))
    return canvas.convert("RGBA")


def render_svg(svg: str) -> Image.Image | None:
    """Render SVG text to a fitted drawing; None if it cannot be drawn."""
    import resvg_py

    try:
        png = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=160, skip_system_fonts=True))
        return fit(load_image(png, alpha=True))
    except (ValueError, OSError):
        return None


def icon_jobs(folder: Path, files: dict[str, str]) -> Iterator[Job]:
    """Yield the icons of ``folder/json/SET.json``, named by their captions.

    `files` is what `guidance.train.data.names.nouns` returns; it tells animals and things.
    """
    sets = {n: _icon_set(folder, n) for n in (*EMOJI_SETS, *ICON_SETS)}
    words = {w for n in sets if n != "fxemoji" for i in sets[n]["icons"] for w in i.split("-") if w}
    for set_name, (licence, weight) in (EMOJI_SETS | ICON_SETS).items():
        emoji, seen = set_name in EMOJI_SETS, set()
        for key, icon in sets[set_name]["icons"].items():
            key = names.segment(key, words) if set_name == "fxemoji" else key
            name = names.emoji_name(key) if emoji else names.icon_name(key)
            if not name or icon.get("hidden") or (weight < 1 and name in seen):
                continue
            seen.add(name)
            rare = emoji and _RARE.search(key.replace(" ", "-"))
            sample = Sample(
                key=f"{set_name}-{len(seen):05}",
                captions=names.sentences(name),
                source=f"iconify:{set_name}",
                licence=licence,
                group=name,
                weight=RARE_WEIGHT if rare else weight,
                tags=_tags(name, files),
            )
            yield Job(_icon_svg(sets[set_name], icon), sample)


def test_jobs(folder: Path) -> Iterator[Job]:
    """Yield the icons of `TEST_SET` that another emoji set has by the same name, one a name."""
    known = {
        names.emoji_name(k)
        for n in EMOJI_SETS
        if n != "fxemoji"
        for k in _icon_set(folder, n)["icons"]
    }
    data, seen = _icon_set(folder, TEST_SET), set()
    for key, icon in data["icons"].items():
        name = names.emoji_name(key)
        if name and name in known and name not in seen:
            seen.add(name)
            sample = Sample(f"{TEST_SET}-{len(seen):05}", (name,), TEST_SET, "CC-BY-SA-4.0")
            yield Job(_icon_svg(data, icon), sample)


def _icon_set(folder: Path, name: str) -> dict:
    return json.loads((folder / "json" / f"{name}.json").read_text(encoding="utf-8"))


def _icon_svg(data: dict, icon: dict) -> str:
    width = icon.get("width", data.get("width", 16))
    height = icon.get("height", data.get("height", 16))
    box = f"{icon.get('left', 0)} {icon.get('top', 0)} {width} {height}"
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="{box}" width="{width}" height="{height}">{icon["body"]}</svg>'
    )


def _tags(name: str, files: dict[str, str]) -> tuple[str, ...]:
    kind = names.kind(name, files)
    return (kind,) if kind else ()


def clip_art_jobs(folder: Path, files: dict[str, str], limit: int = 300_000) -> Iterator[Job]:
    """Yield the Open Clip Art files of at most `limit` bytes with usable captions.

    A title or keyword is kept if one of its words is a noun of `files`, which drops the many
    titles that are file names or the artist's name.
    """
    count = 0
    for path in sorted(folder.rglob("*.svg")):
        parts = path.relative_to(folder).parts
        if (
            is_hidden(path.relative_to(folder))
            or parts[0] in _CLIP_ART_SKIP
            or "flags" in parts
            or path.stat().st_size > limit
        ):
            continue
        try:
            svg = path.read_text("utf-8", errors="replace")
            captions = _clip_art_captions(svg, set(files), set(parts[:-1]))
        except ElementTree.ParseError:
            continue
        if captions:
            count += 1
            yield Job(
                svg,
                Sample(
                    key=f"openclipart-{count:05}",
                    captions=captions,
                    source="openclipart",
                    licence="public domain",
                    group=captions[0],
                    weight=0.7,
                    tags=_tags(captions[0], files),
                ),
            )


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


def stamps(folder: Path, files: dict[str, str]) -> Iterator[tuple[Image.Image, Sample]]:
    """Yield Tux Paint stamps: ``NAME.png`` or ``NAME.svg`` with the caption in ``NAME.txt``."""
    for number, note in enumerate(sorted(folder.rglob("*.txt"))):
        first = note.read_text("utf-8", errors="replace").partition("\n")[0]
        name = first.strip("\ufeff .!\r")
        svg, png = note.with_suffix(".svg"), note.with_suffix(".png")
        if is_hidden(note.relative_to(folder)) or not 2 < len(name) < 60:
            continue
        if png.exists():
            image = fit(load_image(png, alpha=True))
        elif svg.exists():
            image = render_svg(svg.read_text("utf-8", errors="replace"))
        else:
            continue
        name = re.sub(r"^(a|an|the) ", "", name.lower())
        if image is not None:
            yield image, Sample(
                f"stamp-{number:05}", names.sentences(name), "tuxpaint-stamps", "GPL-2.0",
                group=name, tags=_tags(name, files),
            )  # fmt: skip


def ink(image: Image.Image) -> Image.Image:
    """Turn black lines on white into black ink on a transparent canvas."""
    image = image.convert("L").resize((SIDE, SIDE))
    canvas = np.zeros((SIDE, SIDE, 4), np.uint8)
    canvas[..., 3] = 255 - np.asarray(image)
    return Image.fromarray(canvas)
