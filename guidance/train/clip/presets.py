"""Presets of a CLIP training: TOML files with the same sections as `ClipOptions`.

``--config`` names one of the files in ``guidance/train/clip/configs`` or a path; every value in it
can be overridden on the command line by its own name.
"""

from __future__ import annotations

import sys
from pathlib import Path

from guidance.command.cli import take_option
from guidance.converting import from_table
from guidance.errors import FileError, InputError, unknown
from guidance.train.clip.options import ClipOptions

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

CONFIGS = Path(__file__).parent / "configs"


def take_config(arguments: list[str]) -> ClipOptions | None:
    """Take ``--config NAME|FILE`` out of `arguments` and return the options it stands for."""
    name = take_option(arguments, "--config", path=True)
    return None if name is None else read_config(name)


def read_config(name: str) -> ClipOptions:
    """Return the options in the shipped config `name`, or in the TOML file of that path.

    Raises:
        InputError: no such config, or a key or a value that the options do not have.
    """
    path = Path(name) if name.endswith(".toml") else CONFIGS / f"{name}.toml"
    if not path.is_file():
        known = sorted(p.stem for p in CONFIGS.glob("*.toml"))
        raise InputError(unknown("config", name, known))
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not readable TOML: {error}") from None
    return from_table(ClipOptions, content, str(path))
