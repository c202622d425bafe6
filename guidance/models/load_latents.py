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
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from guidance.errors import ModelError, counted, line
from guidance.models.folder import CONFIG, InHub, in_folder
from guidance.models.latents import Latents, wrap
from guidance.models.latents_config import LATENTS, check_latents, find_part
from guidance.pretrained.eight_bit import load_weights
from guidance.pretrained.packaged import packaged, pretrained

if TYPE_CHECKING:
    from torch import nn

WEIGHTS, PICKLED = "diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.bin"


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


def _network(name: str, config: str | None) -> nn.Module:
    place = LATENTS.place(name)
    if place == "mini":
        return _mini()
    if place == "folder":
        return _local(Path(name), name)
    if place == "file":
        from guidance.models.taming import load_taming

        return load_taming(Path(name), config)
    return _hub(name)


def _mini() -> nn.Module:
    from diffusers import VQModel

    with (
        packaged("models/configs/mini-vqgan.json") as file,
        pretrained("mini-vqgan.safetensors") as weights,
    ):
        content, state = json.loads(file.read_text(encoding="utf-8")), load_weights(weights)
    network = VQModel.from_config(content)
    network.load_state_dict(state)  # half precision is converted
    return network


def _local(path: Path, name: str) -> nn.Module:
    """Load a folder of diffusers, safetensors or else pickles that hold only tensors."""
    import diffusers

    subfolder, kind = find_part(in_folder(path), name)
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
    with LATENTS.reached(name):
        folder = _download(name)
    return _local(folder, name)


def _download(name: str) -> Path:
    """Return the cache's folder of a model in the hub, after a download where it is not there."""
    fetch = InHub(name)
    part, _ = find_part(fetch, name)
    inside = f"{part}/" if part else ""
    config = fetch.get(inside + CONFIG)
    if fetch(inside + WEIGHTS) is None:
        fetch.get(inside + PICKLED)
    return config.parent
