"""The name of a diffusion model → `Denoiser`.

============================  ===================================================================
``mini``                      ours, shipped inside the package (works offline)
``FOLDER``                    a diffusers pipeline, or a ``UNet2DModel`` alone
``FILE.pt``, ``.ckpt``,       a checkpoint of OpenAI's guided-diffusion, or of Stable Diffusion
``.pth``, ``.safetensors``    in one file
``owner/name``                a diffusers pipeline from the hub or its cache
============================  ===================================================================

What a pipeline may be is said in `guidance.models.pipelines`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from guidance.clip.model import check_precision
from guidance.errors import (
    FileError,
    GuidanceError,
    InputError,
    ModelError,
    nearest,
    unknown,
)
from guidance.models.components import (
    check_libraries,
    load_network,
    load_tokenizer,
)
from guidance.models.conditions import Condition, PromptReader
from guidance.models.denoiser import TEXT_SCALE, Denoiser, LatentSpace, Pixels
from guidance.models.folder import in_folder, read_json
from guidance.models.latents import PRECISIONS, wrap
from guidance.models.load import OFFLINE_HINT as VQGAN_HINT
from guidance.models.load import check_latents, latents_factor, load_latents
from guidance.models.offload import check_offload
from guidance.models.pipelines import Part, Plan, Shape, read_plan, shape
from guidance.models.repository import download
from guidance.pretrained.foreign import SUFFIXES, read_state
from guidance.pretrained.hub import reached
from guidance.pretrained.packaged import packaged

MINI, AUTO = "mini", "auto"
LARGE_TEXT_SCALE = 5.0  # as in Stable Diffusion XL's own pipeline
# for suggestions; any other repository may be named as well
KNOWN = (
    MINI,
    "256x256_diffusion_uncond.pt",
    "512x512_diffusion_uncond_finetune_008100.pt",
    "CompVis/ldm-celebahq-256",
    "CompVis/ldm-text2im-large-256",
    "google/ddpm-bedroom-256",
    "google/ddpm-cat-256",
    "google/ddpm-celebahq-256",
    "google/ddpm-church-256",
    "google/ddpm-cifar10-32",
    "segmind/tiny-sd",
    "stabilityai/sd-turbo",
    "stabilityai/sdxl-turbo",
    "stabilityai/stable-diffusion-2-1-base",
    "stabilityai/stable-diffusion-xl-base-1.0",
    "stable-diffusion-v1-5/stable-diffusion-v1-5",
)
OFFLINE_HINT = "use --model mini, which ships with the package, or a local file or folder"
_REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*", re.ASCII)
# names of entries in Stable Diffusion's own files
_SINGLE, _SINGLE_XL = "model.diffusion_model.", "conditioner.embedders."


def check_denoiser(name: str, *, decoder: str = AUTO, offload: bool = False) -> None:
    """Check the name of a diffusion model and its options; no weights are read or downloaded.

    Raises:
        InputError: an unknown name, or a decoder for a model without latents.
        FileError: a file or folder does not exist, or its configs are damaged.
        ModelError: the model is not supported, or a package that it needs is not installed.
    """
    path = Path(name)
    if not name:
        raise InputError("the name of the diffusion model must not be empty; the default is mini")
    _check_decoder(decoder)
    if offload:
        check_offload()
    if name == MINI:
        if decoder != AUTO:
            raise InputError(f"the decoder of mini is its own but got {decoder!r}")
        if offload:
            raise InputError("mini is small and cannot be offloaded")
    elif path.is_dir():
        _check_plan(read_plan(in_folder(path), name), decoder)
    elif path.suffix.lower() in SUFFIXES:
        if not path.is_file():
            beside = [p.name for p in path.parent.glob("*") if p.suffix in SUFFIXES]
            raise FileError(f"the checkpoint {path} does not exist{nearest(path.name, beside)}")
        _check_no_decoder(name, decoder)
    elif path.is_file():
        raise InputError(
            f"a diffusion model's file must be one of {', '.join(SUFFIXES)} but is {name!r}"
        )
    elif path.is_absolute() or name.startswith((".", "~")) or name.endswith(("/", "\\")):
        raise FileError(f"the diffusion model's folder {name!r} does not exist")
    elif not _REPOSITORY.fullmatch(name):
        raise InputError(unknown("diffusion model", name, KNOWN))


def denoiser_shape(name: str) -> Shape | None:
    """Return size and cells of the pictures of a checked model, as its configs say.

    None if they cannot be told before the model is loaded: those of a file, which works on single
    pixels, and of a repository.
    """
    if name == MINI:
        with packaged("models/configs/mini-diffusion.json") as file:
            return shape(read_json(file)["unet"], latents_factor(MINI), latent=True)
    path = Path(name)
    return read_plan(in_folder(path), name).shape if path.is_dir() else None


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
    if name == MINI:
        from guidance.models.mini_diffusion import load_mini

        denoiser: Denoiser = load_mini(device, precision)
        return denoiser.place(device, precision, attention_slicing=attention_slicing)
    path, draft = Path(name), _draft(decoder)
    if path.is_dir():
        denoiser = _local(path, name, precision, draft)
    elif path.suffix.lower() in SUFFIXES:
        denoiser = _file(path)
    else:
        denoiser = _hub(name, precision, decoder, draft, accept)
    return denoiser.place(device, precision, offload=offload, attention_slicing=attention_slicing)


def _check_decoder(decoder: str) -> None:
    if decoder == AUTO:
        return
    try:
        check_latents(decoder)
    except GuidanceError as error:
        raise type(error)(f"the decoder must be auto or an autoencoder: {error}") from error


def _check_plan(plan: Plan, decoder: str) -> None:
    check_libraries(plan)
    if plan.decoder is None:
        _check_no_decoder(plan.name, decoder)


def _check_no_decoder(name: str, decoder: str) -> None:
    if decoder != AUTO:
        raise InputError(f"{name} works on pixels and needs no decoder but got {decoder!r}")


def _draft(decoder: str) -> LatentSpace | None:
    if decoder == AUTO:
        return None
    try:
        return LatentSpace.of(load_latents(decoder, device="cpu"))
    except ModelError as error:  # its hint is meant for another command
        raise ModelError(f"the decoder: {str(error).removesuffix(f'; {VQGAN_HINT}')}") from error


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
    network: nn.Module,
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
        _check_plan(plan, decoder)
        accept(plan.shape)

    repositories = [k for k in KNOWN if _REPOSITORY.fullmatch(k)]
    with reached("the diffusion model", name, repositories, OFFLINE_HINT):
        folder = download(name, half=precision != "fp32", check=check)
    return _local(folder, name, precision, draft)
