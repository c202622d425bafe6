"""What the name of a latent space says of it before its weights are read."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from guidance.errors import FileError, InputError, ModelError, nearest
from guidance.models.folder import CONFIG, INDEX, Fetch, InHub, in_folder, read_json
from guidance.models.names import MINI, ModelNames
from guidance.models.taming_architecture import read_config
from guidance.pretrained.packaged import packaged
from guidance.pretrained.suffixes import SUFFIXES

CLASSES = ("VQModel", "AutoencoderKL", "AutoencoderTiny")
PARTS = ("vqvae", "vqgan", "movq", "vae")
LATENTS = ModelNames(
    "VQGAN",
    (
        MINI,
        "amused/amused-256",
        "amused/amused-512",
        "CompVis/ldm-celebahq-256",
        "madebyollin/taesd",
        "stabilityai/sd-vae-ft-mse",
        "vqgan_imagenet_f16_1024.ckpt",
        "vqgan_imagenet_f16_16384.ckpt",
        "vqgan_gumbel_f8_8192.ckpt",
        "wikiart_16384.ckpt",
    ),
    "use --vqgan mini, which ships with the package, or a local file or folder",
    parts=True,
)


def check_latents(name: str, config: str | None = None) -> None:
    """Check the name of a latent space and its config; no weights are read or downloaded.

    Raises:
        InputError: an unknown name, or a config that is wrong or does not belong to the name.
        FileError: a file or folder does not exist.
    """
    if name and config is not None and LATENTS.place(name) != "file":
        raise InputError(
            f"a config belongs to a taming-transformers checkpoint ({', '.join(SUFFIXES)}) but the "
            f"VQGAN is {name!r}"
        )
    place = LATENTS.check(name)
    if place == "folder":
        find_part(in_folder(Path(name)), name)
    if config is not None:
        if not Path(config).is_file():
            beside = [p.name for p in Path(config).parent.glob("*.y*ml")]
            raise FileError(
                f"the config {config} does not exist{nearest(Path(config).name, beside)}"
            )
        read_config(config)


def is_local(name: str) -> bool:
    """Return whether a latent space is known without asking the hub."""
    return LATENTS.place(name) != "repository"


def latents_factor(name: str, config: str | None = None) -> int:
    """Return the pixels along a cell of a latent space; its weights are not loaded.

    Args:
        name, config: as in `load_latents`. A repository's config is fetched from the hub.

    Raises:
        InputError, FileError, ModelError: as `load_latents`.
    """
    path = Path(name)
    if LATENTS.place(name) == "folder":
        return _factor(in_folder(path), name)
    return _kept_factor(name, config, path.stat().st_mtime_ns if path.is_file() else None)


@lru_cache(maxsize=16)
def _kept_factor(name: str, config: str | None, modified: int | None) -> int:
    """Ask the hub or read a file once; `modified` tells a changed one."""
    place = LATENTS.place(name)
    if place == "mini":
        with packaged("models/configs/mini-vqgan.json") as file:
            return cell_side("VQModel", read_json(file))
    if place == "file":
        from guidance.models.taming import describe  # it needs torch, which is slow to import

        found = describe(name) if config is None else read_config(config)
        return 2 ** (len(found.channels) - 1)
    with LATENTS.reached(name):
        return _factor(InHub(name), name)


def _factor(fetch: Fetch, name: str) -> int:
    part, kind = find_part(fetch, name)
    if (file := fetch(f"{part}/{CONFIG}" if part else CONFIG)) is None:
        raise ModelError(f"{name} is incomplete: it has no {part}/{CONFIG}")
    return cell_side(kind, read_json(file))


def find_part(fetch: Fetch, name: str) -> tuple[str, str]:
    """Return subfolder (or "") and class of the picture decoder in a folder or repository."""
    kind = ""
    if (file := fetch(CONFIG)) is not None:
        kind = read_json(file).get("_class_name", "of another library")
        if kind in CLASSES:
            return "", kind
    if (file := fetch(INDEX)) is None:
        if kind:
            raise InputError(
                f"{name} must hold one of {', '.join(CLASSES)} but its model is {kind}"
            )
        raise InputError(
            f"{name} holds no diffusers model: it has neither {CONFIG} nor {INDEX} "
            f"(a taming-transformers checkpoint is named by its file: {', '.join(SUFFIXES)})"
        )
    index = read_json(file)
    for part in PARTS:
        entry = index.get(part)
        if isinstance(entry, list) and entry and entry[-1] in CLASSES:
            return part, entry[-1]
    parts = ", ".join(k for k, v in index.items() if isinstance(v, list)) or "none"
    raise InputError(
        f"{name} must have a part {', '.join(PARTS)} of class {', '.join(CLASSES)} but its parts "
        f"are {parts}"
    )


def cell_side(kind: str, config: Mapping[str, Any]) -> int:
    """Return the pixels along a latent cell of an autoencoder of diffusers, from its config.

    Args:
        kind: its class; subclasses of `VQModel` count as that.
        config: what it leaves out has diffusers' default.
    """
    if kind == "AutoencoderTiny":
        # every block of the decoder but the last one doubles the picture
        blocks = config.get("decoder_block_out_channels", (64,) * 4)
        return config.get("upsampling_scaling_factor", 2) ** (len(blocks) - 1)
    return 2 ** (len(config.get("block_out_channels", (64,))) - 1)
