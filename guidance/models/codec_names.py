"""The name of a codec, checked before its weights are read.

====================================  ===========================================================
``mini``, a checkpoint, a folder or   a VQGAN, see `guidance.models.load_latents`
a repository
``FOLDER`` with ``config.json`` and   a dVAE of ours, from ``guidance.train.vqgan --kind dvae``
``dvae.safetensors``
``FOLDER`` with ``encoder.pkl`` and   OpenAI's dVAE, see `guidance.models.load_dvae`
``decoder.pkl``
====================================  ===========================================================
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from guidance.errors import InputError
from guidance.models.dvae_config import has_pickles, holds_dvae, parse
from guidance.models.folder import CONFIG, read_json
from guidance.models.latents_config import check_latents


def codec_kind(name: str) -> Literal["dvae", "vqgan"]:
    """Return what a name is the name of."""
    return "dvae" if name and Path(name).is_dir() and holds_dvae(Path(name)) else "vqgan"


def check_codec(name: str, config: str | None = None) -> None:
    """Check the name of a codec and its config; no weights are read or downloaded.

    Raises:
        InputError: an unknown name, or a config that is wrong or does not belong to the name.
        FileError: a file or folder does not exist.
    """
    if codec_kind(name) == "vqgan":
        check_latents(name, config)
        return
    if config is not None:
        raise InputError(
            f"a config belongs to a taming-transformers checkpoint but {name} is a dVAE"
        )
    folder = Path(name)
    if not has_pickles(folder):
        parse(read_json(folder / CONFIG), folder / CONFIG)
