"""One run of `guidance.train.vqgan`: patches, autoencoder, codebook and judge."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from diffusers import VQModel
from torch import Tensor

from guidance.clip.classifier import image_classifier
from guidance.conventions import derive_seed, make_generator
from guidance.data import shards
from guidance.evaluate.perceptual import Perceptual
from guidance.files.writing import atomic, make_folder, write
from guidance.models.folder import read_json
from guidance.train.loop import checkpoint, trainer
from guidance.train.loop.depthwise import fast_depthwise
from guidance.train.losses import hinge
from guidance.train.vqgan.codebook import Codebook, perplexity
from guidance.train.vqgan.judge import PatchJudge
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.patches import PatchLoader

KEPT = 8  # steps whose vectors the codebook starts from


class Trainer(trainer.Trainer[VqganTraining, Tensor]):
    """The training of a VQGAN: patches, autoencoder, codebook and judge."""

    def read(self) -> None:
        """Open the data and the architecture's configuration."""
        given = self.options
        self.config = read_json(given.config)
        self.data = shards.read(given.data, captioned=False)
        self.result = given.out / "vqgan"

    def build(self) -> None:
        """Build the networks, and what of earlier steps the codebook starts from."""
        given = self.options
        self.loader = PatchLoader(self.data, given.weights, given.side, given.batch, given.seed)
        self.network = self.autoencoder = VQModel.from_config(self.config)
        self.judge = PatchJudge()
        teacher = image_classifier(given.classifier)
        if self.device.type == "cpu" and given.precision == "bf16":
            fast_depthwise(teacher)
        self.perceptual = Perceptual(teacher)
        for part in (self.network, self.judge, self.perceptual):
            part.to(self.device).to(memory_format=torch.channels_last)
        codes = self.autoencoder.config
        self.codebook = Codebook(codes.num_vq_embeddings, codes.vq_embed_dim).to(self.device)
        learning = [p for n, p in self.network.named_parameters() if not n.startswith("quantize")]
        self.optimisers = [
            torch.optim.Adam(p, lr=given.rate, betas=(0.5, 0.95), fused=True)
            for p in (learning, self.judge.parameters())
        ]
        self.kept: list[Tensor] = []
        if given.init and not given.resume:
            failure = "init: {} does not fit the architecture"
            checkpoint.restore(given.init, self.device, self.start, failure)

    def start(self, state: dict[str, Any]) -> None:
        """Take the averaged weights and the codebook of another run."""
        own = {k: v for k, v in state["averaged"].items() if not k.startswith("quantize.")}
        missing, unexpected = self.network.load_state_dict(own, strict=False)
        if unexpected or any(not k.startswith("quantize.") for k in missing):
            raise ValueError(f"missing {missing[:2]}, unexpected {unexpected[:2]}")
        if state["codebook"]["codes"].shape == self.codebook.codes.shape:
            self.codebook.load_state_dict(state["codebook"])

    def batches(self, start: int) -> Iterator[Tensor]:
        """Yield patches ``[N, 3, s, s]`` in [0, 1]."""
        return self.loader.batches(start)

    def parts(self) -> dict[str, trainer.Stateful]:
        """Return the networks and the codebook."""
        return {"network": self.network, "judge": self.judge, "codebook": self.codebook}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        return super().state() | {"kept": self.kept}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds."""
        super().load(state)
        self.kept = state["kept"]

    def export(self) -> None:
        """Write the folder ``vqgan``."""
        save_folder(self.config, self.exported(), self.result)

    def exported(self) -> dict[str, Tensor]:
        """Return the state dict of a diffusers VQModel: averaged weights, and the codebook."""
        return self.average.state | {"quantize.embedding.weight": self.codebook.codes.clone()}

    def gradients(self, images: Tensor, done: float) -> dict[str, float]:
        """Learn from patches ``[N, 3, s, s]`` in [0, 1]; the judge learns once it is heard."""
        rng = make_generator(derive_seed(self.options.seed, "codes", self.step), self.device)
        heard = self.options.judge * min(1.0, max(0.0, done - self.options.judge_from) / 0.1)
        images = images.to(self.device, memory_format=torch.channels_last)
        parts = images.split(self.share(len(images)))
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
                self.chunks.map(lambda p: self.teach_judge(p[0], p[1], len(images)), pairs)
            )
        vectors = torch.cat([m[1] for m in made])
        self.kept = [*self.kept[-KEPT + 1 :], vectors]
        if self.codebook.started:
            numbers = torch.cat([m[2] for m in made])
            values["moved"] = self.codebook.update(vectors, numbers, rng)
            values["codes in use"] = perplexity(numbers, len(self.codebook.codes))
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
            z = self.autoencoder.encode(images * 2 - 1).latents.float()
        numbers = torch.zeros(z.shape[:1] + z.shape[2:], dtype=torch.long, device=z.device)
        latents, commitment = z, z.new_zeros(())
        if self.codebook.started:
            numbers = self.codebook(z.detach())
            codes = self.codebook.look_up(numbers)
            commitment = F.mse_loss(z, codes)
            latents = z + (codes - z).detach()
        with self.mixed():
            made = self.autoencoder.decode(latents, force_not_quantize=True).sample.float()
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
        last = self.autoencoder.decoder.conv_out.weight
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
