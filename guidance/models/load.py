"""The name of a latent space → `Latents`.

==============================================  =================================================
``mini``                                        ours, shipped inside the package (works offline)
``FILE.ckpt``, ``.pt``, ``.pth``,               a VQGAN of taming-transformers, with or without
``.safetensors``                                its .yaml
``FOLDER``                                      a diffusers model or pipeline
``owner/name``, ``owner/name/subfolder``        the same, from the hub or its cache
==============================================  =================================================

A diffusers model is a `VQModel`, `AutoencoderKL` or `AutoencoderTiny`; of a pipeline the part
``vqvae``, ``vqgan``, ``movq`` or ``vae`` is taken.
"""

from __future__ import annotations

import json
import logging
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from guidance.errors import (
    FileError,
    InputError,
    ModelError,
    counted,
    line,
    nearest,
    unknown,
)
from guidance.models.architecture import read_config
from guidance.models.folder import Fetch, in_folder, read_json
from guidance.models.latents import Latents, cell_side, wrap
from guidance.pretrained.foreign import SUFFIXES
from guidance.pretrained.hub import reached
from guidance.pretrained.packaged import packaged, pretrained

if TYPE_CHECKING:
    from torch import nn

MINI = "mini"
CLASSES = ("VQModel", "AutoencoderKL", "AutoencoderTiny")
CONFIG, INDEX = "config.json", "model_index.json"
WEIGHTS, PICKLED = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"
PARTS = ("vqvae", "vqgan", "movq", "vae")
# for suggestions; any other repository may be named as well
KNOWN = (
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
)
OFFLINE_HINT = "use --vqgan mini, which ships with the package, or a local file or folder"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*(/[\w.-]+)*", re.ASCII)


def check_latents(name: str, config: str | None = None) -> None:
    """Check the name of a latent space and its config; no weights are read or downloaded.

    Raises:
        InputError: an unknown name, or a config that is wrong or does not belong to the name.
        FileError: a file or folder does not exist.
    """
    path = Path(name)
    if not name:
        raise InputError("the name of the VQGAN must not be empty; the default is mini")
    is_file = path.suffix.lower() in SUFFIXES and not path.is_dir()
    if config is not None and not is_file:
        raise InputError(
            f"a config belongs to a taming-transformers checkpoint ({', '.join(SUFFIXES)}) but the "
            f"VQGAN is {name!r}"
        )
    if name == MINI:
        return
    if is_file:
        _check_file(path, config)
    elif path.is_dir():
        _part(in_folder(path), name)
    elif path.is_file():
        raise InputError(f"a VQGAN's file must be one of {', '.join(SUFFIXES)} but is {name!r}")
    elif path.is_absolute() or name.startswith((".", "~")) or name.endswith(("/", "\\")):
        raise FileError(f"the VQGAN's folder {name!r} does not exist")
    elif not _REPOSITORY.fullmatch(name):
        raise InputError(unknown("VQGAN", name, KNOWN))


def load_latents(
    name: str,
    config: str | None = None,
    *,
    device: torch.device | str,
    precision: str = "fp32",
) -> Latents:
    """Load a latent space by name.

    Args:
        name: as in the table above.
        config: the .yaml of a taming-transformers checkpoint; its weights are checked against it.
        device: where it runs.
        precision: arithmetic of decoding, see `Latents.place`.

    Raises:
        InputError, FileError: as `check_latents`.
        ModelError: the weights are damaged or incomplete, or cannot be had offline.
    """
    check_latents(name, config)
    return wrap(_network(name, config), name).place(device, precision)


def is_local(name: str) -> bool:
    """Return whether a latent space is known without asking the hub."""
    return name == MINI or Path(name).is_dir() or Path(name).suffix.lower() in SUFFIXES


def latents_factor(name: str, config: str | None = None) -> int:
    """Return the pixels along a cell of a latent space; its weights are not loaded.

    Args:
        name, config: as in `load_latents`. A repository's config is fetched from the hub.

    Raises:
        InputError, FileError, ModelError: as `load_latents`.
    """
    path = Path(name)
    if path.is_dir() and name != MINI:
        return _factor(in_folder(path), name)
    return _kept_factor(name, config, path.stat().st_mtime_ns if path.is_file() else None)


@lru_cache(maxsize=16)
def _kept_factor(name: str, config: str | None, modified: int | None) -> int:
    """Ask the hub or read a file once; `modified` tells a changed one."""
    if name == MINI:
        with packaged("models/configs/mini-vqgan.json") as file:
            return cell_side("VQModel", read_json(file))
    path = Path(name)
    if path.suffix.lower() in SUFFIXES:
        from guidance.models.taming import describe

        found = describe(path) if config is None else read_config(config)
        return 2 ** (len(found.channels) - 1)
    repositories = [k for k in KNOWN if _REPOSITORY.fullmatch(k)]
    with reached("the VQGAN", name, repositories, OFFLINE_HINT):
        return _factor(_in_hub(name), name)


def _factor(fetch: Fetch, name: str) -> int:
    part, kind = _part(fetch, name)
    if (file := fetch(f"{part}/{CONFIG}" if part else CONFIG)) is None:
        raise ModelError(f"{name} is incomplete: it has no {part}/{CONFIG}")
    return cell_side(kind, read_json(file))


def _network(name: str, config: str | None) -> nn.Module:
    path = Path(name)
    if name == MINI:
        return _mini()
    if path.is_dir():
        return _local(path, name)
    if path.suffix.lower() in SUFFIXES:
        from guidance.models.taming import load_taming

        return load_taming(path, config)
    return _hub(name)


def _mini() -> nn.Module:
    from diffusers import VQModel
    from safetensors.torch import load_file

    with (
        packaged("models/configs/mini-vqgan.json") as file,
        pretrained("mini-vqgan.safetensors") as weights,
    ):
        content, state = json.loads(file.read_text(encoding="utf-8")), load_file(weights)
    network = VQModel.from_config(content)
    network.load_state_dict(state)  # half precision is converted
    return network


def _check_file(path: Path, config: str | None) -> None:
    if not path.is_file():
        beside = [p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES]
        raise FileError(f"the checkpoint {path} does not exist{nearest(path.name, beside)}")
    if config is not None:
        if not Path(config).is_file():
            beside = [p.name for p in Path(config).parent.glob("*.y*ml")]
            raise FileError(
                f"the config {config} does not exist{nearest(Path(config).name, beside)}"
            )
        read_config(config)


def _part(fetch: Fetch, name: str) -> tuple[str, str]:
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


def _local(path: Path, name: str) -> nn.Module:
    """Load a folder of diffusers, safetensors or else pickles that hold only tensors."""
    import diffusers

    subfolder, kind = _part(in_folder(path), name)
    before = logging.root.manager.disable
    logging.disable(logging.ERROR)  # diffusers reports at length what is raised below
    try:
        network, report = getattr(diffusers, kind).from_pretrained(
            str(path / subfolder),
            torch_dtype=torch.float32,
            low_cpu_mem_usage=False,
            output_loading_info=True,
        )
    except Exception as error:  # diffusers, safetensors and torch raise unrelated types
        raise ModelError(f"{name} is not a usable {kind}: {line(error)}") from error
    finally:
        logging.disable(before)
    if missing := sorted(report["missing_keys"]):  # diffusers would leave them random
        raise ModelError(
            f"the weights of {name} do not fit its config: they lack "
            f"{counted(len(missing), 'entry', 'entries')}, first {missing[0]!r}"
        )
    return network


def _hub(name: str) -> nn.Module:
    repositories = [k for k in KNOWN if _REPOSITORY.fullmatch(k)]
    with reached("the VQGAN", name, repositories, OFFLINE_HINT):
        folder = _download(name)
    return _local(folder, name)


def _download(name: str) -> Path:
    """Return the cache's folder of a model in the hub, after a download where it is not there."""
    fetch = _in_hub(name)
    part, _ = _part(fetch, name)
    inside = f"{part}/" if part else ""
    config = _get(name, inside + CONFIG)
    if fetch(inside + WEIGHTS) is None:
        _get(name, inside + PICKLED)
    return config.parent


def _get(name: str, file: str) -> Path:
    """Return a file of a model in the hub."""
    from huggingface_hub import hf_hub_download

    owner, repository, *inside = name.split("/")
    return Path(hf_hub_download(f"{owner}/{repository}", "/".join((*inside, file))))


def _in_hub(name: str) -> Fetch:
    """Return what finds the files of a model in the hub."""
    from huggingface_hub.errors import EntryNotFoundError

    absent: set[str] = set()

    def fetch(file: str) -> Path | None:
        try:
            return _get(name, file)
        except EntryNotFoundError as error:  # not in the repository or, offline, not in the cache
            absent.add(file)
            if absent >= {CONFIG, INDEX} and isinstance(error, FileNotFoundError):
                raise
            return None

    return fetch
