"""The network that `guidance.train.clip` trains: an open_clip model and what serves its losses."""

from __future__ import annotations

import math
import warnings
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.classifier import image_classifier
from guidance.clip.context import cut
from guidance.clip.registry import load_network
from guidance.errors import InputError
from guidance.train import model, tower
from guidance.train.config import ClipOptions, ModelOptions
from guidance.train.names import with_article

PHOTO = "a photo of {}"


class Student(nn.Module):
    """An open_clip `network`, two temperatures and a map for hints.

    `hint` maps the tower's pooled features to a teacher's (Romero et al. 2015, arXiv:1412.6550);
    like `class_scale` it serves the training only.
    """

    def __init__(
        self, network: nn.Module, config: dict[str, Any], scale: float, *, text_map: bool = False
    ) -> None:
        super().__init__()
        self.network = network
        preprocess = config["preprocess_cfg"]
        for name in ("mean", "std"):
            value = torch.tensor(preprocess[name]).view(1, 3, 1, 1)
            self.register_buffer(name, value, persistent=False)
        trunk = getattr(network.visual, "trunk", None)
        features = getattr(trunk, "num_features", 0)
        self.hint = nn.Linear(features, features, bias=False) if features else None
        if self.hint is not None:
            nn.init.eye_(self.hint.weight)
        self.hinted = True  # False: the weights come without the map that goes with them
        with torch.no_grad():
            network.logit_scale.fill_(math.log(scale))
        self.class_scale = nn.Parameter(torch.tensor(math.log(40.0)))
        self.dim = config["model_cfg"]["embed_dim"]
        self.map = nn.Linear(self.dim, self.dim, bias=False) if text_map else None
        if text_map:
            nn.init.eye_(self.map.weight)

    @property
    def scale(self) -> Tensor:
        """The learned scale of the cosines, at most 100."""
        return self.network.logit_scale.clamp(max=math.log(100)).exp()

    def normalised(self, images: Tensor) -> Tensor:
        """Return `images` in [0, 1] as the tower's input."""
        return ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)

    def look(self, images: Tensor) -> Tensor:
        """Embeddings, not normalised, and pooled features of `images`: ``[N, D + K]``."""
        x = self.normalised(images)
        if self.hint is None:
            return self.network.encode_image(x)
        pooled = self.network.visual.trunk(x)
        return torch.cat([self.network.visual.head(pooled), pooled], 1)

    def read(self, tokens: Tensor) -> Tensor:
        """Embeddings of `tokens` ``[N, L]``, not normalised: ``[N, D]``."""
        return self.network.encode_text(tokens)

    def place(self, texts: Tensor) -> Tensor:
        """Return where the map puts embeddings ``[N, D]`` of a frozen text tower, unit length."""
        return texts if self.map is None else F.normalize(self.map(texts.float()), dim=-1)

    def tune(self, options: ModelOptions) -> None:
        """Switch to training, except for what `options` keep as it is."""
        self.train()
        if options.batchnorm == "fixed":
            for module in self.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()
        for name in options.freeze:
            self.frozen_tower(name).eval()

    def frozen_tower(self, name: str) -> nn.Module:
        """Return the tower called "image" or "text"."""
        return self.network.visual if name == "image" else model.text_tower(self.network)


class Teacher:
    """An ImageNet classifier that sees pictures as they are, or enlarged to `side` pixels."""

    def __init__(self, network: nn.Module, device: torch.device, side: int = 0) -> None:
        self.side = side
        self.network = network.to(device, memory_format=torch.channels_last).requires_grad_(False)
        mean, std = (network.default_cfg[k] for k in ("mean", "std"))
        self.mean = torch.tensor(mean, device=device).view(1, 3, 1, 1)
        self.std = torch.tensor(std, device=device).view(1, 3, 1, 1)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> Tensor:
        """Class logits and pooled features ``[N, C + K]`` of `images` in [0, 1]."""
        x = ((images - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        if self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bicubic")
        with torch.autocast(images.device.type, torch.bfloat16):
            pooled = self.network.forward_head(self.network.forward_features(x), pre_logits=True)
            logits = self.network.get_classifier()(pooled)
        return torch.cat([logits.float(), pooled.float()], 1)


def class_texts() -> list[str]:
    """Return a sentence for each of the 1000 ImageNet classes, in their order."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return [PHOTO.format(with_article(name)) for name in IMAGENET_CLASSNAMES]


@torch.no_grad()
def read_all(student: Student, tokens: Tensor, device: torch.device, size: int = 512) -> Tensor:
    """Return the unit embeddings of all `tokens` ``[T, L]`` with the text tower as it is."""
    order = (tokens != 0).sum(1).argsort()
    out = torch.zeros(len(tokens), student.dim, device=device)
    for part in order.split(size):
        with cut(student.network, tokens[part]) as short:
            out[part.to(device)] = F.normalize(student.read(short.to(device)).float(), dim=-1)
    return out


def build(options: ClipOptions, config: dict[str, Any]) -> Student:
    """Build the student of `config` and load everything it starts from."""
    given = options.model
    network = model.build(config)
    student = Student(network, config, options.loss.scale, text_map=given.text_map)
    if given.text_init:
        model.load_text(network, given.text_init)
    if given.image_init:
        start_image(student, config, given)
    if given.init:
        start_from(student, given)
        if given.text_init:  # stays what was asked for, whatever --init brought
            model.load_text(network, given.text_init)
    for name in given.freeze:
        student.frozen_tower(name).requires_grad_(False)
    if given.frozen_stages:
        freeze_stages(student, given.frozen_stages)
    return student


def start_image(student: Student, config: dict, given: ModelOptions) -> None:
    """Start the trunk from an ImageNet classifier, and the head so that cosines follow it."""
    trunk = getattr(student.network.visual, "trunk", None)
    if trunk is None:
        raise InputError(f"image_init: {given.architecture} has no timm image tower")
    name = config["model_cfg"]["vision_cfg"]["timm_model_name"]
    classifier = image_classifier(given.image_init, name)
    state = {k: v for k, v in classifier.state_dict().items() if k in trunk.state_dict()}
    trunk.load_state_dict(state)
    head = getattr(student.network.visual.head, "proj", None)
    last = classifier.get_classifier()
    if isinstance(head, nn.Linear) and head.bias is not None and last.out_features == 1000:
        tokens = model.tokenizer(config)(class_texts())
        classes = read_all(student, tokens, torch.device("cpu"))
        tower.start_head(head, last.weight, last.bias, classes)


def start_from(student: Student, given: ModelOptions) -> None:
    """Load the weights of ``--init``, or go ``--blend`` of the way to them."""
    path = Path(given.init)
    if path.suffix == ".pt" and path.is_file():
        state = torch.load(path, map_location="cpu", weights_only=True)
        state = state.get("averaged", state)
        state = {k: v for k, v in state.items() if k in student.state_dict()}
    else:
        network = load_network(given.init).network
        if model.activations(network) != model.activations(student.network):
            warnings.warn(
                f"init: {given.init} computes with {model.activations(network)}, the architecture "
                f"{given.architecture} with {model.activations(student.network)}",
                stacklevel=2,
            )
        state = {f"network.{k}": v for k, v in network.state_dict().items()}
    if given.fresh_head:
        body = {k: v for k, v in state.items() if not k.startswith("network.visual.head.")}
        if len(body) == len(state):
            raise InputError(f"fresh_head: the image tower of {given.init} has no head of timm's")
        state = body
    student.hinted = "hint.weight" in state
    now = student.state_dict()
    wrong = [k for k, v in state.items() if k not in now or now[k].shape != v.shape]
    if wrong or not state:
        raise InputError(
            f"init: {given.init} does not fit {given.architecture}: {len(wrong)} entries, "
            f"first {wrong[0] if wrong else 'none at all'!r}"
        )
    student.load_state_dict(blend(now, state, given.blend), strict=False)


def exported(network: nn.Module, averaged: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the open_clip state dict of a student's `averaged` state, its map folded in."""
    prefix = "network."
    state = {k[len(prefix) :]: v for k, v in averaged.items() if k.startswith(prefix)}
    if "map.weight" in averaged:
        tower = model.text_tower(network)
        projection = getattr(tower, "text_projection", getattr(network, "text_projection", None))
        weight = projection.weight if isinstance(projection, nn.Linear) else projection
        (name,) = (n for n, p in network.named_parameters() if p is weight)
        fold = averaged["map.weight"].to(state[name])
        linear = isinstance(projection, nn.Linear)
        state[name] = fold @ state[name] if linear else state[name] @ fold.T
    return state


def freeze_stages(student: Student, count: int) -> None:
    """Keep the stem and the first `count` stages of a timm tower as they are."""
    trunk = getattr(student.network.visual, "trunk", None)
    blocks = getattr(trunk, "blocks", None) or getattr(trunk, "stages", None)
    if blocks is None or count > len(blocks):
        raise InputError(f"frozen_stages: the image tower has no {count} stages to freeze")
    learning = {id(p) for m in [*blocks[count:]] for p in m.parameters()}
    later = False
    for module in trunk.children():
        if module is blocks:
            later = True
        elif not later:
            module.requires_grad_(False)
    for parameter in blocks.parameters():
        parameter.requires_grad_(id(parameter) in learning)


def blend(start: dict[str, Tensor], end: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """Go `share` of the way from one state dict to another; temperatures are those of `end`."""
    return {
        k: v.clone()
        if k.endswith("_scale") or not v.is_floating_point()
        else start[k].lerp(v.to(start[k]), share)
        for k, v in end.items()
    }
