"""What a student starts from: an architecture, a classifier, another CLIP, a text tower."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from guidance.clip.classifier import image_classifier
from guidance.clip.registry import load_network
from guidance.errors import InputError
from guidance.train.clip import model
from guidance.train.clip.options import ClipOptions
from guidance.train.clip.sections import ModelOptions
from guidance.train.clip.student import Student, class_texts, read_all


def build(options: ClipOptions, config: dict[str, Any]) -> Student:
    """Build the student of `config` and load everything it starts from."""
    given = options.model
    network = model.build(config)
    student = Student(network, config, options.loss.scale, text_map=given.text_map)
    if given.text_init:
        model.load_text(network, given.text_init)
    if given.image_init:
        start_image(student, config, given, given.image_init)
    if given.init:
        start_from(student, given)
        if given.text_init:  # stays what was asked for, whatever --init brought
            model.load_text(network, given.text_init)
    for name in given.freeze:
        student.frozen_tower(name).requires_grad_(False)
    if given.frozen_stages:
        freeze_stages(student, given.frozen_stages)
    return student


def start_image(student: Student, config: dict, given: ModelOptions, path: Path) -> None:
    """Start the trunk from the classifier of `path`, and the head so that cosines follow it."""
    trunk = getattr(student.network.visual, "trunk", None)
    if trunk is None:
        raise InputError(f"image_init: {given.architecture} has no timm image tower")
    name = config["model_cfg"]["vision_cfg"]["timm_model_name"]
    classifier: Any = image_classifier(path, name)
    state = {k: v for k, v in classifier.state_dict().items() if k in trunk.state_dict()}
    trunk.load_state_dict(state)
    head = getattr(student.network.visual.head, "proj", None)
    last = classifier.get_classifier()
    if isinstance(head, nn.Linear) and head.bias is not None and last.out_features == 1000:
        tokens = model.tokenizer(config)(class_texts())
        classes = read_all(student, tokens, torch.device("cpu"))
        start_head(head, last.weight, last.bias, classes)


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
    if trunk is None or blocks is None or count > len(blocks):
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


@torch.no_grad()
def start_head(proj: nn.Linear, weight: Tensor, bias: Tensor, classes: Tensor) -> None:
    """Start the projection so that cosines with the class embeddings follow the classifier.

    Solves ``classes @ (proj(f)) ≈ weight @ f + bias`` in the least-squares sense.

    Args:
        proj: Projection of features ``[K]`` to embeddings ``[D]``.
        weight: The classifier's weight ``[C, K]``.
        bias: The classifier's bias ``[C]``.
        classes: Unit embeddings of the class names ``[C, D]``.
    """
    e = classes - classes.mean(0)
    gram = e.T @ e + 1e-2 * torch.eye(e.shape[1]) * (e * e).sum() / e.shape[1]
    target = torch.cat([weight - weight.mean(0), (bias - bias.mean())[:, None]], 1)
    solved = torch.linalg.solve(gram, e.T @ target)
    proj.weight.copy_(solved[:, :-1])
    proj.bias.copy_(solved[:, -1])
