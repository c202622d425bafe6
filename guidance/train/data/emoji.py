"""Emoji as rendered pictures, one file a code point → drawings with transparency."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from guidance.data import Sample
from guidance.images.read import load_image
from guidance.train.data import names
from guidance.train.data.sources import fit

NAMED_BY = "noto"  # the Iconify set whose names are those of the code points


def known_names(iconify: Path) -> dict[str, str]:
    """Map code points ("1f98a") to names ("fox")."""
    content = json.loads((iconify / "json" / f"{NAMED_BY}.json").read_text(encoding="utf-8"))
    return content.get("chars", {})


def emoji_3d(
    folder: Path, iconify: Path, files: dict[str, str]
) -> Iterator[tuple[Image.Image, Sample]]:
    """Yield the pictures of the npm package ``@lobehub/fluent-emoji-3d``.

    Args:
        folder: Where the package was unpacked; its pictures are called by code points.
        iconify: Unpacked ``@iconify/json``, which knows their names.
        files: What `guidance.train.data.names.nouns` returns; it tells animals and things.
    """
    known = known_names(iconify)
    for path in sorted((folder / "assets").glob("*.webp")):
        code = path.stem.lower()
        key = known.get(code) or known.get(code.replace("-fe0f", ""))
        name = names.emoji_name(key) if key else None
        image = fit(load_image(path, alpha=True)) if name else None
        if name and image is not None:
            kind = names.kind(name, files)
            yield image, Sample(
                f"emoji-3d-{code}", names.sentences(name), "fluent-emoji-3d", "MIT",
                group=name, tags=(kind,) if kind else (),
            )  # fmt: skip
