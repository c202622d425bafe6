"""What the name of a diffusion model says of it before its weights are read."""

from __future__ import annotations

from pathlib import Path

from guidance.errors import GuidanceError, InputError
from guidance.models.folder import in_folder, read_json
from guidance.models.latents_config import check_latents, latents_factor
from guidance.models.names import MINI, ModelNames
from guidance.models.packages import check_libraries, check_offload
from guidance.models.pipeline_config import Plan, Shape, read_plan, shape
from guidance.pretrained.packaged import packaged

AUTO = "auto"
DENOISERS = ModelNames(
    "diffusion model",
    (
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
    ),
    "use --model mini, which ships with the package, or a local file or folder",
)


def check_denoiser(name: str, *, decoder: str = AUTO, offload: bool = False) -> None:
    """Check the name of a diffusion model and its options; no weights are read or downloaded.

    Raises:
        InputError: an unknown name, or a decoder for a model without latents.
        FileError: a file or folder does not exist, or its configs are damaged.
        ModelError: the model is not supported, or a package that it needs is not installed.
    """
    place = DENOISERS.check(name)
    _check_decoder(decoder)
    if offload:
        check_offload()
    if place == "mini":
        if decoder != AUTO:
            raise InputError(f"the decoder of mini is its own but got {decoder!r}")
        if offload:
            raise InputError("mini is small and cannot be offloaded")
    elif place == "folder":
        check_plan(read_plan(in_folder(Path(name)), name), decoder)
    elif place == "file":
        _check_no_decoder(name, decoder)


def denoiser_shape(name: str) -> Shape | None:
    """Return size and cells of the pictures of a checked model, as its configs say.

    None if they cannot be told before the model is loaded: those of a file, which works on single
    pixels, and of a repository.
    """
    place = DENOISERS.place(name)
    if place == "mini":
        with packaged("models/configs/mini-diffusion.json") as file:
            return shape(read_json(file)["unet"], latents_factor(MINI), latent=True)
    return read_plan(in_folder(Path(name)), name).shape if place == "folder" else None


def _check_decoder(decoder: str) -> None:
    if decoder == AUTO:
        return
    try:
        check_latents(decoder)
    except GuidanceError as error:
        raise type(error)(f"the decoder must be auto or an autoencoder: {error}") from error


def check_plan(plan: Plan, decoder: str) -> None:
    """Raise an error for a pipeline that lacks a package, or has no use for a decoder."""
    check_libraries(plan)
    if plan.decoder is None:
        _check_no_decoder(plan.name, decoder)


def _check_no_decoder(name: str, decoder: str) -> None:
    if decoder != AUTO:
        raise InputError(f"{name} works on pixels and needs no decoder but got {decoder!r}")
