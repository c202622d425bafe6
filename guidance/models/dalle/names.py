"""What the name of a DALL·E says of it before its weights are read; torch is not imported.

==============================================  =================================================
``mini``                                        ours, shipped inside the package (works offline)
``FILE.safetensors``                            ``dalle.safetensors`` of ``guidance.train.dalle``
``FOLDER``, ``owner/name``                      DALL·E mini or mega in min-dalle's files, see
                                                `guidance.models.min_dalle.files`
==============================================  =================================================
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from guidance.converting import from_table
from guidance.errors import FileError, GuidanceError, InputError, ModelError, line
from guidance.models.dalle.config import DalleConfig
from guidance.models.latents_config import latents_factor
from guidance.models.min_dalle.files import HINT, REPOSITORIES, find, holds_min_dalle
from guidance.models.names import MINI, ModelNames
from guidance.pretrained.packaged import packaged, pretrained

WEIGHTS = "mini-dalle.safetensors"
KEY = "guidance"  # of the facts in a file's metadata
DALLES = ModelNames(
    "DALL·E",
    (MINI, *REPOSITORIES),
    HINT,
    parts=True,
)


@dataclass(frozen=True)
class Grid:
    """The codes of a picture.

    Attributes:
        rows, columns: of codes.
        factor: pixels along the side of one.
    """

    rows: int
    columns: int
    factor: int

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture, pixels."""
        return self.rows * self.factor, self.columns * self.factor


@dataclass(frozen=True)
class Facts:
    """What a file of our own says of its network.

    Attributes:
        config: how it is built.
        clip: the CLIP whose embeddings it knows.
        vqgan: the VQGAN whose codes it writes.
        vqgan_digest: of that VQGAN's weights, "" if it is not known.
    """

    config: DalleConfig
    clip: str
    vqgan: str
    vqgan_digest: str = ""

    def metadata(self) -> dict[str, str]:
        """Return the facts as a safetensors file keeps them."""
        table = {**vars(self), "config": self.config.table()}
        return {KEY: json.dumps(table, sort_keys=True)}


def check_dalle(name: str) -> None:
    """Check the name of a DALL·E, and that what it names can be one; no weights are read.

    Raises:
        InputError: an unknown name.
        FileError: the file does not exist or is something else.
        ModelError: the mini one does not come with this version, or a folder lacks files.
    """
    if holds_min_dalle(name):
        find(name)
        return
    place = DALLES.check(name)
    if place == "folder":
        raise InputError(
            f"{name} holds no DALL·E: neither encoder.pt nor decoder.pt; one of our own is named "
            "by its file, dalle.safetensors"
        )
    if place != "repository":  # which is asked when it is loaded
        dalle_facts(name)


def is_min_dalle(name: str) -> bool:
    """Return whether a checked model is in min-dalle's files."""
    return holds_min_dalle(name) or DALLES.place(name) == "repository"


def dalle_grid(name: str) -> Grid | None:
    """Return the codes of the pictures of a checked model; None before its weights are read."""
    if is_min_dalle(name):
        return None
    facts = dalle_facts(name)
    config = facts.config
    return Grid(config.rows, config.columns, latents_factor(facts.vqgan))


def dalle_file(name: str) -> AbstractContextManager[Path]:
    """Give the path of the weights of a checked model, as a context.

    Raises:
        ModelError: the shipped ones are missing or damaged.
    """
    return pretrained(WEIGHTS) if name == MINI else nullcontext(Path(name))


def dalle_facts(name: str) -> Facts:
    """Return what the file of a model of our own says.

    Raises:
        FileError: it cannot be read, or is something else.
        ModelError: the mini one does not come with this version.
    """
    if name != MINI:
        return read_facts(Path(name))
    with packaged(f"pretrained/{WEIGHTS}") as path:
        if not path.is_file():
            raise ModelError(
                f"the weights {WEIGHTS} are missing: mini does not come with this version; "
                "--model PATH takes a dalle.safetensors that guidance.train.dalle has made"
            )
        return read_facts(path)


def read_facts(path: Path) -> Facts:
    """Return what a file of ``guidance.train.dalle`` says of its network.

    Raises:
        FileError: it cannot be read, or is something else.
    """
    from safetensors import safe_open

    try:
        with safe_open(path, "np") as file:  # of NumPy: torch is slow to import
            text = (file.metadata() or {}).get(KEY, "{}")
        table = json.loads(text)
        if not (isinstance(table, Mapping) and isinstance(table.get("config"), Mapping)):
            raise ValueError("its metadata have no config of a transformer")
        return _facts(table, str(path))
    except Exception as error:  # safetensors' errors share no base with Python's
        said = error.args[0] if isinstance(error, GuidanceError) else line(error)
        raise FileError(f"{path} is no file of guidance.train.dalle: {said}") from None


def _facts(table: Mapping[str, Any], source: str) -> Facts:
    return from_table(Facts, table, source)
