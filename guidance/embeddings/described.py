"""The models whose embeddings a folder holds: ``FOLDER/<fingerprint>/model.json``."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from guidance.errors import FileError, InputError, unknown
from guidance.files.text import read_object
from guidance.files.writing import write

FILE = "model.json"


@dataclass(frozen=True)
class Model:
    """What a store says of its model: its name and the length of its embeddings."""

    name: str
    dim: int


def describe(folder: Path) -> Model | None:
    """Return what `folder` says of its model; None if it is new or the file is damaged.

    Raises:
        FileError: the file cannot be read.
    """
    try:
        known = read_object(folder / FILE)
        return Model(str(known["name"]), int(known["dim"]))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise FileError(f"cannot read {folder / FILE}: {error.strerror or error}") from error
    except (ValueError, KeyError, TypeError):
        return None


def save(folder: Path, model: Model) -> None:
    """Write ``model.json``, unless it is there."""
    if describe(folder) is None:
        write(folder / FILE, json.dumps(asdict(model)) + "\n")


def choose(root: Path, wanted: str | None) -> tuple[str, Model]:
    """Return the fingerprint and model that are meant.

    Args:
        root: folder of one or several models' embeddings.
        wanted: a fingerprint, how one begins, or the name of a model; None if there is but one.

    Raises:
        InputError: there is none, or it is not clear which.
    """
    folders = sorted(path.parent for path in root.glob(f"*/{FILE}"))
    found = {folder.name: known for folder in folders if (known := describe(folder))}
    if not found:
        raise InputError(f"{root} holds no embeddings")
    if wanted in found:
        return wanted, found[wanted]
    chosen = {
        fingerprint: known
        for fingerprint, known in found.items()
        if wanted is None or known.name == wanted or (wanted and fingerprint.startswith(wanted))
    }
    if not chosen:
        names = [*found, *{known.name for known in found.values()} - {""}]
        raise InputError(f"{root}: {unknown('model', str(wanted), names)}")
    if len(chosen) > 1:
        listed = ", ".join(f"{known.name or '?'} ({name})" for name, known in chosen.items())
        raise InputError(f"{root} holds embeddings of several models; name one of {listed}")
    return chosen.popitem()
