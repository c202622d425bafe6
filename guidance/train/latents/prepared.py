"""Files of `guidance.train.latents`, joined: what is known of every view, and draws of views."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from guidance.errors import FileError, InputError, line

NAMES = ("images", "rows", "captions", "texts", "weights")
PERHAPS = ("low", "sizes")  # not in every file


class Prepared:
    """What the files hold, in memory as it is stored. Pictures of older files count as sharp.

    Args:
        paths: of `guidance.train.latents`, of one latent space and one CLIP.
        kind: ``"latents"`` or ``"codes"``, which every file must hold.

    Attributes:
        held: latents or codes of every view.
        images: CLIP embeddings of the views ``[V, D]``.
        texts: CLIP embeddings of all captions.
        rows: the picture of each view, ``[V]``.
        captions: the captions of each view, numbers of `texts`.
        sizes: pixels that were there for each one that is shown, ``[V]``.
        low: see `LatentsOptions.low`; None if not prepared.
        facts: what the files say of how they were made.

    Raises:
        FileError: a file is damaged or something else.
        InputError: files do not belong together.
    """

    def __init__(self, paths: Sequence[Path], kind: str):
        parts, facts = zip(*(_read(path, kind) for path in paths), strict=True)
        if any(fact != facts[0] for fact in facts):
            raise InputError(f"data: {paths[0]} and the others differ in CLIP, VQGAN or side")
        self.facts: dict[str, Any] = json.loads(facts[0]) if facts[0].startswith("{") else {}
        lows = ["low" in part for part in parts]
        self.low = torch.cat([p["low"] for p in parts]) if all(lows) else None
        self.held, self.images = (torch.cat([p[k] for p in parts]) for k in (kind, "images"))
        self.sizes = torch.cat([p.get("sizes", torch.ones(len(p["rows"]))) for p in parts])
        self.texts = torch.cat([p["texts"] for p in parts])
        self.rows, captions = _joined(parts)
        self.captions = captions[self.rows]  # of every view
        self.weights = torch.cat([p["weights"] for p in parts])[self.rows].double()
        self._weigh()

    def __len__(self) -> int:
        return len(self.held)

    def keep_back(self, views: Tensor) -> None:
        """Draw none of some views any more, whose numbers are given."""
        self.weights[views] = 0
        self._weigh()

    def draw(self, size: int, seed: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Return numbers of views and of a caption of each, ``[size]``; they follow from `seed`."""
        rng = np.random.default_rng(list(seed))
        views = np.searchsorted(self._chances, rng.random(size))
        views = torch.from_numpy(np.minimum(views, self._last))
        chosen = torch.from_numpy(rng.integers(self.captions.shape[1], size=size))
        return views, self.captions[views, chosen].long()

    def _weigh(self) -> None:
        self._chances = np.cumsum((self.weights / self.weights.sum()).numpy())
        self._last = int(self.weights.nonzero()[-1])


def _read(path: Path, kind: str) -> tuple[dict[str, Tensor], str]:
    try:
        with safe_open(path, "pt") as file:
            held = set(file.keys())
            if kind not in held and {"latents", "codes"} & held:
                raise ValueError(f"it holds no {kind}" + _remedy(kind))
            content = {k: file.get_tensor(k) for k in (kind, *NAMES, *({*PERHAPS} & held))}
            return content, (file.metadata() or {}).get("guidance", "")
    except Exception as error:  # safetensors' errors share no base with Python's
        raise FileError(
            f"data: {path} is no file of guidance.train.latents: {line(error)}"
        ) from None


def _remedy(kind: str) -> str:
    return "; it must be prepared with --codes" if kind == "codes" else ", it is for DALL·E"


def _joined(parts: Sequence[dict[str, Tensor]]) -> tuple[Tensor, Tensor]:
    """Return the picture of each view and the captions of each picture, numbered across files."""
    rows, captions, pictures, texts = [], [], 0, 0
    for part in parts:
        rows.append(part["rows"].long() + pictures)
        captions.append(part["captions"] + texts)
        pictures, texts = pictures + len(part["captions"]), texts + len(part["texts"])
    return torch.cat(rows), torch.cat(captions)
