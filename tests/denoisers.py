"""Denoisers of tiny pipelines, put together the way the loader does."""

import json

import tiny_vqgan
import torch

from guidance.models.conditions import PromptReader
from guidance.models.denoiser import Denoiser
from guidance.models.denoiser_space import LatentSpace, Pixels
from guidance.models.latents import wrap


def denoiser(pipe, kind, **options):
    """Put a denoiser together from the parts of a pipeline, the way the loader does."""
    space, reader = Pixels(), None
    if kind != "ddpm":
        autoencoder = tiny_vqgan.build("vq", scaling_factor=0.5) if kind == "ldm" else pipe.vae
        space = LatentSpace.of(wrap(autoencoder, kind))
    if kind in ("sd", "xl"):
        encoders = [pipe.text_encoder] + ([pipe.text_encoder_2] if kind == "xl" else [])
        tokenizers = [pipe.tokenizer] + ([pipe.tokenizer_2] if kind == "xl" else [])
        reader = PromptReader(
            encoders, tokenizers, name=kind, pooled=kind == "xl", zeros=kind == "xl"
        )
    schedule = dict(pipe.scheduler.config)
    options = {"name": kind, "size": (32, 32), "schedule": schedule, "reader": reader} | options
    return Denoiser(pipe.unet, space, **options).place("cpu")


def randn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def answer(model):
    """Return what a model predicts of some noise, and the picture of that."""
    side = 32 // model.factor
    condition = model.condition(["a fox"])[0] if model.conditional else None
    with torch.no_grad():
        out = model(randn(1, model.channels, side, side), 500, condition)
        return torch.cat([out.flatten(), model.decode(out).flatten()])


def edit(file, **changes):
    """Change entries of a JSON file; None takes one away."""
    content = json.loads(file.read_text()) | changes
    file.write_text(json.dumps({k: v for k, v in content.items() if v is not None}))
