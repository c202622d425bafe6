"""The name of a diffusion model → `Denoiser`.

============================  ===================================================================
``mini``                      ours, shipped inside the package (works offline)
``FOLDER``                    a diffusers pipeline, or a ``UNet2DModel`` alone
``FILE.pt``, ``.ckpt``,       a checkpoint of OpenAI's guided-diffusion, or of Stable Diffusion
``.pth``, ``.safetensors``    in one file
``owner/name``                a diffusers pipeline from the hub or its cache
============================  ===================================================================

What a pipeline may be is said in `guidance.models.pipeline_config`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from guidance.clip.model import PRECISIONS
from guidance.conventions import check_precision
from guidance.errors import ModelError
from guidance.models.conditions import Condition, PromptReader
from guidance.models.denoiser import TEXT_SCALE, Denoiser
from guidance.models.denoiser_config import AUTO, DENOISERS, check_denoiser, check_plan
from guidance.models.denoiser_space import LatentSpace, Pixels
from guidance.models.folder import in_folder
from guidance.models.latents import wrap
from guidance.models.latents_config import LATENTS
from guidance.models.load_latents import load_latents
from guidance.models.pipeline_config import Part, Plan, Shape, read_plan, shape
from guidance.models.pipeline_download import download
from guidance.models.pipeline_parts import load_network, load_tokenizer
from guidance.pretrained.foreign import read_state

if TYPE_CHECKING:
    from diffusers import UNet2DConditionModel, UNet2DModel

DECODER_HINT = "use --decoder auto, which is the model's own, or a local file or folder"
LARGE_TEXT_SCALE = 5.0  # as in Stable Diffusion XL's own pipeline
# names of entries in Stable Diffusion's own files
_SINGLE, _SINGLE_XL = "model.diffusion_model.", "conditioner.embedders."


def load_denoiser(
    name: str,
    *,
    device: torch.device | str,
    precision: str = "fp32",
    decoder: str = AUTO,
    offload: bool = False,
    attention_slicing: bool = False,
    accept: Callable[[Shape], None] = lambda shape: None,
) -> Denoiser:
    """Load a diffusion model by name.

    Args:
        name: as in the table above.
        device: where it runs.
        precision: arithmetic of the network, see `Denoiser.place`.
        decoder: what decodes the pictures that are only looked at on the way: "auto", the model's
            own, or an autoencoder that `load_latents` knows, such as ``madebyollin/taesd``.
        offload, attention_slicing: save memory, see `Denoiser.place`.
        accept: called with size and cells of a repository's pictures before its weights are
            fetched; may raise.

    Raises:
        InputError, FileError: as `check_denoiser`, or a precision that does not fit the device.
        ModelError: the weights are damaged or incomplete, cannot be had offline, or the decoder
            is of another latent space.
    """
    check_precision(precision, torch.device(device))
    check_denoiser(name, decoder=decoder, offload=offload)
    place = DENOISERS.place(name)
    if place == "mini":
        from guidance.models.mini_diffusion import load_mini

        denoiser: Denoiser = load_mini(device, precision)
        return denoiser.place(device, precision, attention_slicing=attention_slicing)
    draft = _draft(decoder)
    if place == "folder":
        denoiser = _local(Path(name), name, precision, draft)
    elif place == "file":
        denoiser = _file(Path(name))
    else:
        denoiser = _hub(name, precision, decoder, draft, accept)
    return denoiser.place(device, precision, offload=offload, attention_slicing=attention_slicing)


def _draft(decoder: str) -> LatentSpace | None:
    if decoder == AUTO:
        return None
    try:
        return LatentSpace.of(load_latents(decoder, device="cpu"))
    except ModelError as error:  # its hint is meant for another command
        said = str(error).replace(LATENTS.hint, DECODER_HINT)
        raise ModelError(f"the decoder: {said}") from error


def _local(folder: Path, name: str, precision: str, draft: LatentSpace | None) -> Denoiser:
    fetch = in_folder(folder)
    plan = read_plan(fetch, name)

    def load(part: Part, dtype: torch.dtype = torch.float32) -> nn.Module:
        return load_network(folder, fetch, part, name, dtype)

    network = load(plan.unet, PRECISIONS[precision])
    latents = load(plan.decoder) if plan.decoder else None
    reader = None
    if plan.texts:
        reader = PromptReader(
            [load(encoder) for encoder, _ in plan.texts],
            [load_tokenizer(folder, tokenizer, name) for _, tokenizer in plan.texts],
            name=name,
            pooled=plan.pooled,
            zeros=plan.zeros,
        )
    return _assemble(name, network, plan.schedule, latents, reader, draft)


def _assemble(
    name: str,
    network: UNet2DModel | UNet2DConditionModel,
    schedule: dict[str, Any],
    latents: nn.Module | None,
    reader: PromptReader | None,
    draft: LatentSpace | None,
) -> Denoiser:
    """Put a denoiser together from the parts of a pipeline."""
    space: Pixels | LatentSpace = Pixels()
    if latents is not None:
        space = LatentSpace.of(wrap(latents, name), draft)
    return Denoiser(
        network,
        space,
        name=name,
        size=shape(network.config, space.factor, latent=latents is not None).size,
        schedule=schedule,
        reader=reader,
        always=_any_class(network),
        cfg=LARGE_TEXT_SCALE if reader is not None and reader.pooled else TEXT_SCALE,
    )


def _any_class(network: nn.Module) -> Condition | None:
    """Return the condition of no class in particular, for a network that wants one of its classes.

    That is the mean of the classes' vectors, which becomes a class of its own.
    """
    vectors = getattr(network, "class_embedding", None)
    if not isinstance(vectors, nn.Embedding):
        return None
    weight = vectors.weight.detach()
    weight = torch.cat([weight, weight.mean(0, keepdim=True)])
    network.class_embedding = nn.Embedding.from_pretrained(weight)
    return Condition({"class_labels": torch.tensor([len(weight) - 1])})


def _file(path: Path) -> Denoiser:
    from guidance.models.openai_unet import load_openai

    names = read_state(path).keys()
    if any(n.startswith(_SINGLE) for n in names):
        kind = "XLPipeline" if any(n.startswith(_SINGLE_XL) for n in names) else "Pipeline"
        raise ModelError(
            f"{path} is a pipeline in one file, whose configs are in the hub; convert it to a "
            f'folder once, online: python -c "import diffusers; diffusers.StableDiffusion{kind}.'
            f"from_single_file('{path}').save_pretrained('{path.stem}')\""
        )
    model = load_openai(path)
    return Denoiser(
        model.network,
        Pixels(),
        name=str(path),
        size=(model.size, model.size),
        schedule=model.schedule,
        always=_any_class(model.network),
    )


def _hub(
    name: str,
    precision: str,
    decoder: str,
    draft: LatentSpace | None,
    accept: Callable[[Shape], None],
) -> Denoiser:
    def check(plan: Plan) -> None:
        check_plan(plan, decoder)
        accept(plan.shape)

    with DENOISERS.reached(name):
        folder = download(name, half=precision != "fp32", check=check)
    return _local(folder, name, precision, draft)
