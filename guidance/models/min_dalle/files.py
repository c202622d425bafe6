"""The files of a DALL·E mini or mega in a folder or a repository, by min-dalle's names.

================================================  ===============================================
files                                             name of the model
================================================  ===============================================
``encoder.pt decoder.pt detoker.pt vocab.json     ``FOLDER``, ``owner/name``
merges.txt``
``encoder_mini.pt decoder_mini.pt detoker.pt      ``FOLDER/mini``, ``owner/name/mini``
vocab_mini.json merges_mini.txt``
``dalle_bart_mini/encoder.pt``, ... and           ``FOLDER/mini``, or ``FOLDER/mega`` for
``vqgan/detoker.pt``, min-dalle's own folder      ``dalle_bart_mega``
================================================  ===============================================

In the hub, ``kuprel/min-dalle`` has both in the first two forms.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path

from guidance.errors import ModelError, nearest
from guidance.models.folder import Fetch, InHub, in_folder

REPOSITORIES = ("kuprel/min-dalle", "kuprel/min-dalle/mini")
HINT = "use --model mini, which ships with the package, or a local folder with its files"
SIZES = ("mini", "mega")


@dataclass(frozen=True)
class Files:
    """Where the five files of a model are."""

    encoder: Path
    decoder: Path
    detoker: Path
    vocab: Path
    merges: Path


def split(name: str) -> tuple[str, str]:
    """Return the folder or repository in a name, and the size behind it, if any."""
    base, _, last = name.rstrip("/\\").replace("\\", "/").rpartition("/")
    return (base, last) if base and last in SIZES and not Path(name).is_dir() else (name, "")


def is_local(name: str) -> bool:
    """Return whether a name is that of a folder here."""
    return Path(split(name)[0]).is_dir()


def holds_min_dalle(name: str) -> bool:
    """Return whether a name is that of a folder with an encoder or a decoder of min-dalle."""
    base, size = split(name)
    fetch = in_folder(Path(base))
    return Path(base).is_dir() and any(_there(fetch, layout) for layout in _layouts(size))


def find(name: str) -> Files:
    """Return the files of a model; those in the hub are downloaded where they are not in its cache.

    Raises:
        ModelError: some are missing, or the hub cannot be reached.
    """
    base, size = split(name)
    if Path(base).is_dir():
        return _found(in_folder(Path(base)), name, size, Path(base))
    from guidance.pretrained.hub import reached  # its client is slow to import

    with reached("the DALL·E", name, REPOSITORIES, HINT):
        fetch = InHub(base)
        return _found(fetch, name, size, None)


def _found(fetch: Fetch, name: str, size: str, folder: Path | None) -> Files:
    layouts = _layouts(size) if folder else _layouts(size or "mega")[:1]
    # of those that hold a transformer the one that lacks least
    layout = max(
        layouts, key=lambda lay: _there(fetch, lay) and sum(map(_has(fetch), lay.values()))
    )
    paths = {part: fetch(file) for part, file in layout.items()}
    if lacking := [layout[part] for part, path in paths.items() if path is None]:
        if isinstance(fetch, InHub) and fetch.missed:
            fetch.raise_if_offline()
        beside = sorted(p.name for p in folder.iterdir()) if folder else []
        near = nearest(Path(lacking[0]).name, [n for n in beside if n not in layout.values()])
        raise ModelError(
            f"{name} lacks {', '.join(lacking)}; a DALL·E mini or mega has "
            f"{', '.join(layout.values())}{near}"
        )
    return Files(**{part: path for part, path in paths.items() if path is not None})


def _has(fetch: Fetch) -> Callable[[str], bool]:
    return lambda file: fetch(file) is not None


def _there(fetch: Fetch, layout: dict[str, str]) -> bool:
    return any(map(_has(fetch), (layout["encoder"], layout["decoder"])))


def _layouts(size: str) -> list[dict[str, str]]:
    """Return part → file, for all the ways in which the files of a size may lie."""
    if not size:
        return [_flat(""), _flat("") | {"detoker": "../vqgan/detoker.pt"}, _flat("_mini")]
    own = _flat("", f"dalle_bart_{size}/") | {"detoker": "vqgan/detoker.pt"}
    return [_flat("_mini" if size == "mini" else ""), own]


def _flat(suffix: str, folder: str = "") -> dict[str, str]:
    endings = {"vocab": "json", "merges": "txt"}
    names = {f.name: f"{f.name}{suffix}.{endings.get(f.name, 'pt')}" for f in fields(Files)}
    return {part: folder + file for part, file in names.items()} | {"detoker": "detoker.pt"}
