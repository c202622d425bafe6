"""The sizes of a discrete variational autoencoder, and the folder that holds one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from guidance.errors import InputError, nearest
from guidance.models.folder import CONFIG, read_json

KIND = "DiscreteVAE"  # under _class_name in its config.json
WEIGHTS = "dvae.safetensors"  # beside it
ENCODER, DECODER = "encoder.pkl", "decoder.pkl"  # OpenAI's


@dataclass(frozen=True)
class DvaeConfig:
    """What the networks of one family differ in; the defaults are OpenAI's.

    Attributes:
        codes: how many a cell chooses from.
        width: channels of the finest group; each coarser one has twice as many.
        groups: of blocks; between two of them the picture is halved or doubled.
        blocks: in a group.
        entry: channels that the decoder makes of a code.
    """

    codes: int = 8192
    width: int = 256
    groups: int = 4
    blocks: int = 2
    entry: int = 128

    @property
    def factor(self) -> int:
        """Pixels along a cell."""
        return 2 ** (self.groups - 1)

    def content(self) -> dict[str, Any]:
        """Return the object that its config.json holds."""
        return {"_class_name": KIND} | asdict(self)


_MOST = {"codes": 2**20, "width": 4096, "groups": 8, "blocks": 64, "entry": 65536}


def parse(content: Mapping[str, Any], what: object) -> DvaeConfig:
    """Return the sizes in the object of a config.json; what it leaves out has its default.

    Args:
        what: names it in errors.

    Raises:
        InputError: it is of another kind, or holds an unknown name or a size out of range.
    """
    kind = content.get("_class_name", KIND)
    if kind != KIND:
        raise InputError(f"{what} must describe a {KIND} but describes a {kind}")
    names = [field.name for field in fields(DvaeConfig)]
    given = {k: v for k, v in content.items() if not k.startswith("_")}
    for name, value in given.items():
        if name not in names:
            raise InputError(f"{what} holds the unknown size {name!r}{nearest(name, names)}")
        if type(value) is not int or not 1 <= value <= _MOST[name]:
            raise InputError(
                f"{name} in {what} must be a whole number from 1 to {_MOST[name]} but is {value!r}"
            )
    config = DvaeConfig(**given)
    if config.width % 4:
        raise InputError(f"width in {what} must be a multiple of 4 but is {config.width}")
    return config


def has_pickles(folder: Path) -> bool:
    """Return whether a folder holds one of OpenAI's files."""
    return (folder / ENCODER).is_file() or (folder / DECODER).is_file()


def holds_dvae(folder: Path) -> bool:
    """Return whether a folder holds a dVAE, ours or OpenAI's; its weights are not read."""
    if has_pickles(folder):
        return True
    file = folder / CONFIG
    return file.is_file() and read_json(file).get("_class_name") == KIND
