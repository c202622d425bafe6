"""One run of `guidance.train.vqgan`: patches, autoencoder, codebook and critics."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from diffusers import VQModel
from torch import Generator, Tensor

from guidance.clip.attention import disable_inplace, fuse_batchnorm
from guidance.clip.classifier import image_classifier
from guidance.clip.depths import Depths
from guidance.clip.registry import load_clip
from guidance.conventions import derive_seed, make_generator
from guidance.data import shards
from guidance.evaluate.perceptual import Perceptual
from guidance.files.writing import atomic, make_folder, write
from guidance.models.folder import read_json
from guidance.train.loop import checkpoint, trainer
from guidance.train.loop.depthwise import fast_depthwise
from guidance.train.loop.group_norm import fast_group_norm
from guidance.train.vqgan.clip_critic import ClipCritic
from guidance.train.vqgan.codebook import Codebook, perplexity
from guidance.train.vqgan.critic import Critic, Voice
from guidance.train.vqgan.dvae import DvaeTrainer
from guidance.train.vqgan.judge import PatchJudge
from guidance.train.vqgan.options import VqganTraining
from guidance.train.vqgan.patches import PatchLoader

KEPT = 8  # steps whose vectors the codebook starts from


class Part(NamedTuple):
    """A thread's part of a batch: its number, pictures ``[n, 3, s, s]`` in [-1, 1], its share."""

    number: int
    images: Tensor
    share: float


class Made(NamedTuple):
    """What became of a part.

    The pictures in [-1, 1]; the vectors before quantisation ``[P, C]`` and the codes that they
    chose ``[P]``; and the parts of the loss, as their share of the batch's mean.
    """

    images: Tensor
    vectors: Tensor
    numbers: Tensor
    values: dict[str, float]


class Trainer(trainer.Trainer[VqganTraining, Tensor]):
    """The training of a VQGAN: patches, autoencoder, codebook and critics."""

    def read(self) -> None:
        """Open the data and the architecture's configuration."""
        given = self.options
        self.config = read_json(given.architecture())
        self.data = shards.read(given.data, captioned=False)
        self.result = given.out / "vqgan"

    def build(self) -> None:
        """Build the networks, and what of earlier steps the codebook starts from."""
        given = self.options
        self.loader = PatchLoader(self.data, given.weights, given.side, given.batch, given.seed)
        self.network = self.autoencoder = VQModel.from_config(self.config)
        self.voices = self.critics()
        assert given.classifier is not None  # as checked
        teacher = image_classifier(given.classifier)
        fuse_batchnorm(teacher)
        disable_inplace(teacher)
        if self.device.type == "cpu":
            fast_group_norm(self.network)
            if given.precision == "bf16":
                fast_depthwise(teacher)
        self.perceptual = Perceptual(teacher)
        critics = [v.critic for v in self.voices]
        for part in (self.network, *critics, self.perceptual):
            part.to(self.device).to(memory_format=torch.channels_last)
        codes = self.autoencoder.config
        self.codebook = Codebook(codes.num_vq_embeddings, codes.vq_embed_dim).to(self.device)
        learning = [p for n, p in self.network.named_parameters() if not n.startswith("quantize")]
        self.optimisers = [
            torch.optim.Adam(p, lr=given.rate, betas=(0.5, 0.95), fused=True)
            for p in (learning, *(c.parameters() for c in critics))
        ]
        self.kept: list[Tensor] = []
        if given.init and not given.resume:
            failure = "init: {} does not fit the architecture"
            checkpoint.restore(given.init, self.device, self.start, failure)

    def critics(self) -> list[Voice]:
        """Return the critics that the options give weight to."""
        given, voices = self.options, []
        if given.judge > 0:
            voices.append(Voice(PatchJudge(), given.judge, given.judge_from))
        if given.critic and given.critic_weight > 0:
            clip = load_clip(given.critic, device=self.device, precision=given.precision)
            if self.device.type == "cpu" and given.precision == "bf16":
                fast_depthwise(clip.network.visual)
            critic = ClipCritic(Depths(clip))
            voices.append(Voice(critic, given.critic_weight, given.critic_from))
        return voices

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
        critics = {v.critic.name: v.critic for v in self.voices}
        return {"network": self.network, "codebook": self.codebook, **critics}

    def state(self) -> dict[str, Any]:
        """Return what a checkpoint holds."""
        critics = [v.critic.name for v in self.voices]
        return super().state() | {"kept": self.kept, "critics": critics}

    def load(self, state: dict[str, Any]) -> None:
        """Go on from what a checkpoint holds; a critic that it does not know starts afresh."""
        fresh = {
            v.critic.name: (v.critic.state_dict(), optimiser.state_dict())
            for v, optimiser in zip(self.voices, self.optimisers[1:], strict=True)
        }
        own, *others = state["optimisers"]
        names = state.get("critics", ["judge"])  # of 0.1
        held = {n: (state[n], o) for n, o in zip(names, others, strict=True)}
        critics = {name: held.get(name, new) for name, new in fresh.items()}
        optimisers = [own, *(optimiser for _, optimiser in critics.values())]
        networks = {name: network for name, (network, _) in critics.items()}
        super().load(state | networks | {"optimisers": optimisers})
        self.kept = state["kept"]

    def export(self) -> None:
        """Write the folder ``vqgan``."""
        save_folder(self.config, self.exported(), self.result)

    def exported(self) -> dict[str, Tensor]:
        """Return the state dict of a diffusers VQModel: averaged weights, and the codebook."""
        return self.average.state | {"quantize.embedding.weight": self.codebook.codes.clone()}

    def gradients(self, images: Tensor, done: float) -> dict[str, float]:
        """Learn from patches ``[N, 3, s, s]`` in [0, 1]; a critic learns once it is heard."""
        rng = make_generator(derive_seed(self.options.seed, "codes", self.step), self.device)
        heard = [(v.critic, v.heard(done)) for v in self.voices if v.heard(done) > 0]
        images = images.to(self.device, memory_format=torch.channels_last)
        pieces = images.split(self.share(len(images)))
        parts = [Part(i, piece * 2 - 1, len(piece) / len(images)) for i, piece in enumerate(pieces)]
        if not self.codebook.started and done >= self.options.codes_from and self.kept:
            self.codebook.start(torch.cat(self.kept), rng)
        for critic, _ in heard:
            critic.eval().requires_grad_(False)
        made = self.chunks.map(lambda part: self.rebuild(part, heard), parts)
        values = summed([m.values for m in made])
        for critic, _ in heard:
            critic.train().requires_grad_(True)
        if heard:
            critics, pairs = [c for c, _ in heard], zip(parts, made, strict=True)
            losses = self.chunks.map(lambda p: self.teach(critics, p[0], p[1].images), pairs)
            values |= summed(losses)
        vectors = torch.cat([m.vectors for m in made])
        self.kept = [*self.kept[-KEPT + 1 :], vectors]
        if self.codebook.started:
            numbers = torch.cat([m.numbers for m in made])
            values["moved"] = self.codebook.update(vectors, numbers, rng)
            values["codes in use"] = perplexity(numbers, len(self.codebook.codes))
        return values

    def rebuild(self, part: Part, heard: Sequence[tuple[Critic, float]]) -> Made:
        """Encode, quantise and decode a part of the batch and send the gradient back.

        `heard` are the critics and the lengths of their gradients, relative to the other losses'.
        """
        share, options = part.share, self.options
        with self.mixed():
            z = self.autoencoder.encode(part.images).latents.float()
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
        loss, values = self.errors(picture, part.images)
        (own,) = torch.autograd.grad(loss, picture)
        grad = own
        for critic, weight in heard:
            with self.mixed():
                fooled = critic.fooled(picture, self.views(critic, part, "fooled"))
            (push,) = torch.autograd.grad(fooled, picture)
            grad = grad + weight * self.balance(made, own, push) * push
            values[f"{critic.name} fooled"] = fooled
        values["commitment"] = commitment
        outputs, grads = [made], [share * grad]
        if self.codebook.started:
            outputs.append(options.commitment * share * commitment)
            grads.append(None)
        torch.autograd.backward(outputs, grads)
        vectors = z.detach().movedim(1, -1).reshape(-1, z.shape[1])
        said = {name: float(value.detach()) * share for name, value in values.items()}
        return Made(made.detach(), vectors, numbers.flatten(), said)

    def errors(self, made: Tensor, images: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the loss of made pictures beside real ones, in [-1, 1], and its parts by name."""
        options, apart = self.options, made - images
        small = F.avg_pool2d(apart, 8, ceil_mode=True)  # the mean of differences is that of means
        with self.mixed():
            look = self.perceptual((made + 1) / 2, (images + 1) / 2).mean()
        parts = {"error": apart.abs().mean(), "colour": small.abs().mean(), "look": look}
        loss = parts["error"] + options.colour * parts["colour"] + options.perceptual * look
        if options.squared > 0:
            parts["squared"] = apart.square().mean()
            loss = loss + options.squared * parts["squared"]
        return loss, parts

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

    def teach(self, critics: Sequence[Critic], part: Part, made: Tensor) -> dict[str, float]:
        """Send the critics' own gradients back; return their losses as shares of the means."""
        said = {}
        for critic in critics:
            with self.mixed():
                loss = critic.loss(part.images, made, self.views(critic, part, "taught"))
            loss = loss * part.share
            loss.backward()
            said[critic.name] = float(loss.detach())
        return said

    def views(self, critic: Critic, part: Part, purpose: str) -> Generator:
        """Return what decides how a critic looks at a part of the batch in this step."""
        seed = derive_seed(self.options.seed, critic.name, purpose, self.step, part.number)
        return make_generator(seed)


def summed(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the sums of values that all parts have."""
    return {name: sum(part[name] for part in parts) for name in parts[0]}


def save_folder(config: dict[str, Any], state: dict[str, Tensor], folder: Path) -> None:
    """Write a folder that diffusers' ``VQModel.from_pretrained`` and ``--vqgan`` take."""
    from safetensors.torch import save_file

    make_folder(folder)
    write(folder / "config.json", json.dumps(config, indent=2) + "\n")
    with atomic(folder / "diffusion_pytorch_model.safetensors") as path:
        save_file({k: v.detach().cpu().contiguous() for k, v in state.items()}, path)


def train(options: VqganTraining) -> None:
    """Run ``python -m guidance.train.vqgan``."""
    kind = DvaeTrainer if options.kind == "dvae" else Trainer
    kind(options).run()
