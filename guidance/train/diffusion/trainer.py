"""One run of `guidance.train.diffusion`: latents, network and noise."""

from __future__ import annotations

import math
import time

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from guidance.conventions import derive_seed, make_generator, resolve_device
from guidance.errors import FileError, InputError, line
from guidance.files.writing import atomic, make_folder
from guidance.models.folder import read_json
from guidance.models.latent_unet import LatentUNet
from guidance.train.diffusion.latent_data import LatentData
from guidance.train.diffusion.options import DiffusionTraining
from guidance.train.loop.chunks import Chunks

MEASURED = 8192  # views whose statistics normalise latents and embeddings


class Trainer:
    """One run: data, network, optimiser and the weight average."""

    def __init__(self, options: DiffusionTraining):
        options.check()
        self.options, self.device = options, resolve_device(options.device)
        self.config = read_json(options.config, ("unet", "scheduler"))
        self.data = LatentData(options.data)
        make_folder(options.out)
        cpu = self.device.type == "cpu"
        self.chunks = Chunks(options.threads if cpu else 0)
        if self.chunks.pool:
            # what is left to this thread are small operations, where threads wait for each other
            torch.set_num_threads(1)
        torch.manual_seed(options.seed)
        self.network = LatentUNet(self.config["unet"])
        self.upsampler = self.config["unet"]["in_channels"] > self.config["unet"]["out_channels"]
        if self.upsampler and self.data.low is None:
            raise InputError("data: an upsampler needs latents prepared with --low")
        self._measure()
        self.network.to(self.device, memory_format=torch.channels_last)
        self.alpha, self.sigma = (x.to(self.device) for x in levels(self.config["scheduler"]))
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=options.rate, weight_decay=options.decay, fused=True
        )
        if options.init:
            self._start()
        self.averaged = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.step, self.spent = 0, 0.0
        if options.resume:
            self._resume()

    def _measure(self) -> None:
        views = self.data.batch(MEASURED, (self.options.seed, 2**32))
        for side, values in (
            ("latent", views.latents), ("text", views.texts), ("image", views.images)
        ):  # fmt: skip
            self.network.measure(side, values)

    def _start(self) -> None:
        path = self.options.init
        try:
            if path.suffix == ".safetensors":
                state = load_file(path)
            else:
                state = torch.load(path, map_location=self.device, weights_only=True)["averaged"]
            self.network.load_state_dict(state)  # half precision is converted
        except Exception as error:  # pickle, zip and torch raise a dozen types
            raise FileError(f"init: {path} does not fit the architecture: {line(error)}") from None

    def _resume(self) -> None:
        path = self.options.out / "state.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            self.network.load_state_dict(state["network"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.averaged, self.step, self.spent = (state[k] for k in ("averaged", "step", "spent"))
        except Exception as error:  # pickle, zip and torch raise a dozen types
            raise FileError(f"resume: {path} does not fit these options: {line(error)}") from None

    def train_step(self, done: float) -> dict[str, float]:
        """Make one step at fraction `done` of the run."""
        size = self.options.batch
        views = self.data.batch(size, (self.options.seed, self.step))
        rng = make_generator(derive_seed(self.options.seed, "noise", self.step))
        # stratified: every step sees all noise levels
        t = ((torch.arange(size) + torch.rand(size, generator=rng)) / size * len(self.alpha)).long()
        noise = torch.randn(views.latents.shape, generator=rng)
        images = views.images + self.doubt(views.images.shape, rng)
        kinds = torch.rand(size, generator=rng)
        share = -(-size // max(1, self.options.threads if self.chunks.pool else 1))
        whole = (views.latents, noise, t, views.texts, images, kinds)
        parts = list(zip(*(x.split(share) for x in whole), strict=True))
        lows = [None] * len(parts) if views.low is None else views.low.split(share)
        losses = self.chunks.map(
            lambda job: self.part(*job[0], job[1], total=size), zip(parts, lows, strict=True)
        )
        norm = self.update(done)
        return {"loss": sum(losses), "gradient": norm}

    def doubt(self, shape: torch.Size, rng: torch.Generator) -> Tensor:
        """Return noise for image embeddings ``[N, D]``, of another strength for each."""
        strength = self.options.blur * torch.rand(shape[0], 1, generator=rng)
        return strength * torch.randn(shape, generator=rng) * self.network.image_std.cpu()

    def part(
        self, z: Tensor, noise: Tensor, t: Tensor, texts: Tensor, images: Tensor, kinds: Tensor,
        low: Tensor | None, *, total: int,
    ) -> float:  # fmt: skip
        """Send the gradient of a part of the batch back; return its share of the loss."""
        z, noise, t, texts, images, kinds = (
            x.to(self.device) for x in (z, noise, t, texts, images, kinds)
        )
        network, options = self.network, self.options
        x0 = network.normalise(z)
        alpha, sigma = (x[t].view(-1, 1, 1, 1) for x in (self.alpha, self.sigma))
        given = None if low is None else network.normalise(low.to(self.device))
        mixed = torch.autocast(
            self.device.type, torch.bfloat16, enabled=options.precision == "bf16"
        )
        vector = network.vector(texts, images) * self.shown(kinds)
        with mixed:
            said = network(alpha * x0 + sigma * noise, t, vector, given)
        error = (said.float() - (alpha * noise - sigma * x0)).pow(2).mean((1, 2, 3))
        snr = (alpha / sigma).pow(2).flatten()
        # min(snr, gamma) / snr for the loss in noise is min(snr, gamma) / (snr + 1) for that in v;
        # the floor keeps the noisiest steps, which decide the composition
        loss = (error * snr.clamp(options.floor, options.gamma) / (snr + 1)).sum() / total
        loss.backward()
        return float(loss.detach())

    def shown(self, kinds: Tensor) -> Tensor:
        """Return which halves of the conditions ``[N, 2 D]`` are shown, from uniform numbers."""
        drop, half = self.options.drop, self.options.drop + self.options.single / 2
        texts = (kinds >= drop) & ~((kinds >= half) & (kinds < drop + self.options.single))
        images = kinds >= half
        return torch.stack([texts, images], 1).float().repeat_interleave(self.network.dim, 1)

    def update(self, done: float) -> float:
        """Step the optimiser (short warm-up, then cosine) and the weight average."""
        warm = min(1.0, max(done, 1e-4) / 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = self.options.rate * warm * max(0.01, 0.5 + 0.5 * math.cos(math.pi * done))
        norm = nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimiser.step()
        self.optimiser.zero_grad()
        with torch.no_grad():
            decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
            new = self.network.state_dict()
            torch._foreach_lerp_([self.averaged[k] for k in new], list(new.values()), 1 - decay)
        self.step += 1
        return float(norm)

    def save(self) -> None:
        """Write ``state.pt`` and ``diffusion.safetensors``, each in one move."""
        state = {
            "network": self.network.state_dict(), "averaged": self.averaged,
            "optimiser": self.optimiser.state_dict(), "step": self.step, "spent": self.spent,
        }  # fmt: skip
        with atomic(self.options.out / "state.pt") as path:
            torch.save(state, path)
        with atomic(self.options.out / "diffusion.safetensors") as path:
            save_file({k: v.cpu().contiguous() for k, v in self.averaged.items()}, path)

    def run(self) -> None:
        """Train to the end, with log lines and regular checkpoints."""
        from guidance.train.loop.log import Log

        log, options = Log(self.options, self.device), self.options
        begin, saved = time.perf_counter() - self.spent, self.spent
        while (done := self.done()) < 1:
            values = self.train_step(done)
            self.spent = time.perf_counter() - begin
            log.step(self.step, done, values)
            if self.spent - saved > 60 * options.save_every:
                saved = self.spent
                self.save()
        self.save()
        log.finish(self.step, options.out / "diffusion.safetensors")

    def done(self) -> float:
        """Return the fraction of the run that lies behind."""
        return self.options.done(self.step, self.spent)


def levels(config: dict) -> tuple[Tensor, Tensor]:
    """Return how much picture and how much noise is in each time step, ``[T]`` each."""
    from diffusers import DDIMScheduler

    share = DDIMScheduler.from_config(config).alphas_cumprod
    return share.sqrt(), (1 - share).sqrt()


def train(options: DiffusionTraining) -> None:
    """Run ``python -m guidance.train.diffusion``."""
    Trainer(options).run()
