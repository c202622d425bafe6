"""One run of `guidance.train.noise_aware`: noisy latents and the head that tells them apart."""

from __future__ import annotations

import time

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor

from guidance.conventions import (
    derive_seed,
    make_generator,
    resolve_device,
)
from guidance.files.writing import atomic, make_folder
from guidance.models.folder import read_json
from guidance.models.latent_unet import LatentUNet
from guidance.models.noise_aware import NoiseAware
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.trainer import levels
from guidance.train.noise_aware.options import NoiseAwareTraining

LOG_EVERY = 50


def contrast(said: Tensor, vectors: Tensor, scale: Tensor) -> Tensor:
    """Return CLIP's symmetric loss of directions and conditions, both ``[N, 2 D]``."""
    logits = scale * said @ F.normalize(vectors, dim=-1).T
    own = torch.arange(len(said), device=said.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def train(options: NoiseAwareTraining) -> None:
    """Run ``python -m guidance.train.noise_aware``."""
    options.check()
    device = resolve_device(options.device)
    config = read_json(options.config, ("unet", "scheduler"))
    data = LatentData(options.data)
    network = LatentUNet(config["unet"])
    network.load_state_dict(load_file(options.diffusion / "diffusion.safetensors"))
    network.requires_grad_(False).eval().to(device)
    torch.manual_seed(options.seed)
    model = NoiseAware(network).to(device)
    alphas, sigmas = (x.to(device) for x in levels(config["scheduler"]))
    optimiser = torch.optim.AdamW(model.parameters(), lr=options.rate, weight_decay=0.01)
    begin, step, total = time.perf_counter(), 0, 0.0
    while True:
        done = options.done(step, time.perf_counter() - begin)
        if done >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = options.rate * (1 - done)
        views = data.batch(options.batch, (options.seed, step))
        rng = make_generator(derive_seed(options.seed, "noise", step))
        t = torch.randint(len(alphas), (options.batch,), generator=rng)
        noise = torch.randn(views.latents.shape, generator=rng).to(device)
        x0 = network.normalise(views.latents.to(device))
        alpha, sigma = (x[t.to(device)].view(-1, 1, 1, 1) for x in (alphas, sigmas))
        vectors = network.vector(views.texts.to(device), views.images.to(device))
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16):
            features = model.features(alpha * x0 + sigma * noise, t.to(device))
        said = F.normalize(model.head(features.float()), dim=-1)
        loss = contrast(said, vectors, model.log_scale.exp())
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        step, total = step + 1, total + float(loss.detach())
        if step % LOG_EVERY == 0:
            print(f"{step}  {100 * done:.1f} %  loss {total / LOG_EVERY:.3f}", flush=True)
            total = 0.0
    make_folder(options.out)
    with atomic(options.out / "diffusion.safetensors") as path:
        save_file({k: v.cpu().contiguous() for k, v in model.state_dict().items()}, path)
