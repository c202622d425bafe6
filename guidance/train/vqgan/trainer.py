"""One run of `guidance.train.vqgan`: patches, autoencoder, codebook and judge."""

from __future__ import annotations

import json
import math
import time
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import VQModel
from torch import Tensor, nn

from guidance.clip.classifier import image_classifier
from guidance.conventions import derive_seed, make_generator, resolve_device
from guidance.data import shards
from guidance.errors import FileError, line
from guidance.evaluate.perceptual import Perceptual
from guidance.files.writing import atomic, make_folder, write
from guidance.models.folder import read_json
from guidance.train.loop.chunks import Chunks
from guidance.train.loop.depthwise import fast_depthwise
from guidance.train.losses import hinge
from guidance.train.vqgan.codebook import Codebook, perplexity
from guidance.train.vqgan.judge import PatchJudge
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.patches import PatchLoader

KEPT = 8  # steps whose vectors the codebook starts from


class Trainer:
    """One run: patches, autoencoder, codebook, judge, their optimisers and the weight average."""

    def __init__(self, options: VqganTraining):
        options.check()
        self.options, self.device = options, resolve_device(options.device)
        self.config = read_json(options.config)
        data = shards.read(options.data, captioned=False)
        make_folder(options.out)
        self.loader = PatchLoader(data, options.weights, options.side, options.batch, options.seed)
        cpu = self.device.type == "cpu"
        self.chunks = Chunks(options.threads if cpu else 0)
        torch.manual_seed(options.seed)
        self.network = VQModel.from_config(self.config)
        self.judge = PatchJudge()
        teacher = image_classifier(options.classifier)
        if cpu and options.precision == "bf16":
            fast_depthwise(teacher)
        self.perceptual = Perceptual(teacher)
        for part in (self.network, self.judge, self.perceptual):
            part.to(self.device, memory_format=torch.channels_last)
        codes = self.network.config
        self.codebook = Codebook(codes.num_vq_embeddings, codes.vq_embed_dim).to(self.device)
        learning = [p for n, p in self.network.named_parameters() if not n.startswith("quantize")]
        self.optimisers = [
            torch.optim.Adam(p, lr=options.rate, betas=(0.5, 0.95), fused=True)
            for p in (learning, self.judge.parameters())
        ]
        self.averaged = {k: v.clone() for k, v in self.network.state_dict().items()}
        self.kept: list[Tensor] = []
        self.step, self.spent = 0, 0.0
        if options.resume:
            self._resume()
        elif options.init:
            self._start(options.init)

    def _start(self, path: Path) -> None:
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            own = {k: v for k, v in state["averaged"].items() if not k.startswith("quantize.")}
            missing, unexpected = self.network.load_state_dict(own, strict=False)
            if unexpected or any(not k.startswith("quantize.") for k in missing):
                raise ValueError(f"missing {missing[:2]}, unexpected {unexpected[:2]}")
            if state["codebook"]["codes"].shape == self.codebook.codes.shape:
                self.codebook.load_state_dict(state["codebook"])
        except Exception as error:  # pickle, zip and torch raise a dozen types
            raise FileError(f"init: {path} does not fit the architecture: {line(error)}") from None
        self.averaged = {k: v.clone() for k, v in self.network.state_dict().items()}

    def _resume(self) -> None:
        path = self.options.out / "state.pt"
        try:
            state = torch.load(path, map_location=self.device, weights_only=True)
            for name in ("network", "judge", "codebook"):
                getattr(self, name).load_state_dict(state[name])
            for optimiser, values in zip(self.optimisers, state["optimisers"], strict=True):
                optimiser.load_state_dict(values)
            self.averaged, self.kept = state["averaged"], state["kept"]
            self.step, self.spent = state["step"], state["spent"]
        except Exception as error:  # pickle, zip and torch raise a dozen types
            raise FileError(f"resume: {path} does not fit these options: {line(error)}") from None

    def mixed(self) -> torch.autocast:
        """Return the arithmetic of the run."""
        enabled = self.options.precision == "bf16"
        return torch.autocast(self.device.type, torch.bfloat16, enabled=enabled)

    def train_step(self, images: Tensor, done: float) -> dict[str, float]:
        """Make one step on `images` ``[N, 3, s, s]`` in [0, 1] at fraction `done` of the run."""
        rng = make_generator(derive_seed(self.options.seed, "codes", self.step), self.device)
        heard = self.options.judge * min(1.0, max(0.0, done - self.options.judge_from) / 0.1)
        images = images.to(self.device, memory_format=torch.channels_last)
        share = -(-len(images) // max(1, self.options.threads if self.chunks.pool else 1))
        parts = images.split(share)
        if not self.codebook.started and done >= self.options.codes_from and self.kept:
            self.codebook.start(torch.cat(self.kept), rng)
        self.judge.requires_grad_(False)
        made = self.chunks.map(lambda part: self.rebuild(part, len(images), heard), parts)
        self.judge.requires_grad_(True)
        said = [m[3] for m in made]
        values = {k: sum(s[k] for s in said) for k in said[0]}
        if heard > 0:
            pairs = [(part, m[0]) for part, m in zip(parts, made, strict=True)]
            values["judge"] = sum(
                self.chunks.map(lambda p: self.teach_judge(*p, len(images)), pairs)
            )
        vectors = torch.cat([m[1] for m in made])
        self.kept = [*self.kept[-KEPT + 1 :], vectors]
        if self.codebook.started:
            numbers = torch.cat([m[2] for m in made])
            values["moved"] = self.codebook.update(vectors, numbers, rng)
            values["codes in use"] = perplexity(numbers, len(self.codebook.codes))
        self.update(done, heard)
        return values

    def rebuild(
        self, images: Tensor, total: int, heard: float
    ) -> tuple[Tensor, Tensor, Tensor, dict[str, float]]:
        """Encode, quantise and decode a part of the batch and send the gradient back.

        Returns:
            The pictures made, in [-1, 1]; the vectors before quantisation ``[P, C]``; the codes
            they chose ``[P]``; and the parts of the loss, as their share of the batch's mean.
        """
        share, options = len(images) / total, self.options
        with self.mixed():
            z = self.network.encode(images * 2 - 1).latents.float()
        numbers = torch.zeros(z.shape[:1] + z.shape[2:], dtype=torch.long, device=z.device)
        latents, commitment = z, z.new_zeros(())
        if self.codebook.started:
            numbers = self.codebook(z.detach())
            codes = self.codebook.look_up(numbers)
            commitment = F.mse_loss(z, codes)
            latents = z + (codes - z).detach()
        with self.mixed():
            made = self.network.decode(latents, force_not_quantize=True).sample.float()
        picture = made.detach().requires_grad_()
        error = (picture - (images * 2 - 1)).abs().mean()
        small = [F.avg_pool2d(x, 8, ceil_mode=True) for x in (picture, images * 2 - 1)]
        colour = (small[0] - small[1]).abs().mean()
        with self.mixed():
            look = self.perceptual((picture + 1) / 2, images).mean()
        loss = error + options.colour * colour + options.perceptual * look
        (grad,) = torch.autograd.grad(loss, picture)
        parts = {"error": error, "colour": colour, "look": look}
        values = {k: float(v.detach()) * share for k, v in parts.items()}
        if heard > 0:
            with self.mixed():
                fooled = -self.judge(picture).float().mean()
            (push,) = torch.autograd.grad(fooled, picture)
            grad = grad + heard * self.balance(made, grad, push) * push
            values["fooled"] = float(fooled.detach()) * share
        values["commitment"] = float(commitment.detach()) * share
        outputs, grads = [made], [share * grad]
        if self.codebook.started:
            outputs.append(options.commitment * share * commitment)
            grads.append(None)
        torch.autograd.backward(outputs, grads)
        vectors = z.detach().movedim(1, -1).reshape(-1, z.shape[1])
        return made.detach(), vectors, numbers.flatten(), values

    def balance(self, made: Tensor, grad: Tensor, push: Tensor) -> Tensor:
        """Return how many times longer `grad` is than `push` in the last layer's weights.

        Equation 7 of Esser et al. Lengths in the picture would not do: the judge pushes all pixels
        alike, while the other gradients mostly cancel where the weights sum them up.
        """
        last = self.network.decoder.conv_out.weight
        lengths = [
            torch.autograd.grad(made, last, g, retain_graph=True)[0].norm() for g in (grad, push)
        ]
        return (lengths[0] / (lengths[1] + 1e-6)).clamp(max=1e4)

    def teach_judge(self, images: Tensor, made: Tensor, total: int) -> float:
        """Send the judge's own gradient back; return its loss as a share of the batch's mean."""
        with self.mixed():
            said = self.judge(torch.cat([images * 2 - 1, made])).float()
        loss = hinge(*said.split(len(images))) * (len(images) / total)
        loss.backward()
        return float(loss.detach())

    def update(self, done: float, heard: float) -> None:
        """Step the optimisers (short warm-up, then cosine) and the weight average."""
        warm = min(1.0, max(done, 1e-4) / 0.01)
        rate = self.options.rate * warm * max(0.01, 0.5 + 0.5 * math.cos(math.pi * done))
        for number, optimiser in enumerate(self.optimisers):
            for group in optimiser.param_groups:
                group["lr"] = rate
            if number == 0:
                nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
            if number == 0 or heard > 0:
                optimiser.step()
            optimiser.zero_grad()
        with torch.no_grad():
            decay = min(self.options.ema, (1 + self.step) / (10 + self.step))
            for key, value in self.network.state_dict().items():
                self.averaged[key].lerp_(value, 1 - decay)
        self.step += 1

    def save(self) -> None:
        """Write ``state.pt`` and the folder ``vqgan``, each file in one move."""
        state = {
            "network": self.network.state_dict(), "judge": self.judge.state_dict(),
            "codebook": self.codebook.state_dict(), "averaged": self.averaged, "kept": self.kept,
            "optimisers": [o.state_dict() for o in self.optimisers], "step": self.step,
            "spent": self.spent,
        }  # fmt: skip
        with atomic(self.options.out / "state.pt") as path:
            torch.save(state, path)
        save_folder(self.config, self.exported(), self.options.out / "vqgan")

    def exported(self) -> dict[str, Tensor]:
        """Return the state dict of a diffusers VQModel: averaged weights, and the codebook."""
        return self.averaged | {"quantize.embedding.weight": self.codebook.codes.clone()}

    def done(self) -> float:
        """Return the fraction of the run that lies behind."""
        return self.options.done(self.step, self.spent)

    def run(self) -> None:
        """Train to the end, with log lines and regular checkpoints."""
        from guidance.train.loop.log import Log

        log = Log(self.options, self.device)
        begin, saved = time.perf_counter() - self.spent, self.spent
        for images in self.loader.batches(self.step):
            self.spent = time.perf_counter() - begin
            done = self.done()
            if done >= 1:
                break
            values = self.train_step(images, done)
            log.step(self.step, done, values)
            if self.spent - saved > 60 * self.options.save_every:
                saved = self.spent
                self.save()
        self.save()
        log.finish(self.step, self.options.out / "vqgan")


def save_folder(config: dict[str, Any], state: dict[str, Tensor], folder: Path) -> None:
    """Write a folder that diffusers' ``VQModel.from_pretrained`` and ``--vqgan`` take."""
    from safetensors.torch import save_file

    make_folder(folder)
    write(folder / "config.json", json.dumps(config, indent=2) + "\n")
    with atomic(folder / "diffusion_pytorch_model.safetensors") as path:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, path)


def train(options: VqganTraining) -> None:
    """Run ``python -m guidance.train.vqgan``."""
    Trainer(options).run()
