"""The network that `guidance.train.clip` trains, and what it becomes in a weights file."""

from __future__ import annotations

import math
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.train import model as mini
from guidance.train import tower

MEAN = STD = 0.5  # of the image tower's input, as in mini.json


def prepare(images: Tensor) -> Tensor:
    """Normalise ``[N, 3, H, W]`` in [0, 1] for the towers, channels last."""
    return ((images - MEAN) / STD).contiguous(memory_format=torch.channels_last)


class Student(nn.Module):
    """What is trained: image tower, linear map W of the sentences, and two temperatures.

    `hint` maps the tower's pooled features to the teacher's (Romero et al. 2015, arXiv:1412.6550);
    like `class_scale` it serves the training only.
    """

    def __init__(self, visual: nn.Module, dim: int) -> None:
        super().__init__()
        self.visual = visual
        self.map = nn.Linear(dim, dim, bias=False)
        self.hint = nn.Linear(visual.trunk.num_features, visual.trunk.num_features, bias=False)
        nn.init.eye_(self.map.weight)
        nn.init.eye_(self.hint.weight)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.class_scale = nn.Parameter(torch.tensor(math.log(40.0)))

    @property
    def dim(self) -> int:
        """Size of an embedding."""
        return self.map.out_features

    def look(self, images: Tensor) -> Tensor:
        """Embeddings, not normalised, and pooled features of `images`: ``[N, D + K]``."""
        pooled = self.visual.trunk(prepare(images))
        return torch.cat([self.visual.head(pooled), pooled], 1)

    def sentences(self, embeddings: Tensor) -> Tensor:
        """Map sentence embeddings ``[N, D]`` to unit text embeddings."""
        return F.normalize(self.map(embeddings.float()), dim=-1)


class Teacher:
    """The ImageNet classifier that the student starts from."""

    def __init__(self, path: Path) -> None:
        network = mini.image_classifier(path)
        self.trunk_state = {
            k: v for k, v in network.state_dict().items() if not k.startswith("classifier")
        }
        self.classifier = network.classifier
        self.network = network.to(memory_format=torch.channels_last).requires_grad_(False)

    @torch.no_grad()
    def __call__(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Class logits ``[N, C]`` and pooled features ``[N, K]`` of `images` in [0, 1]."""
        with torch.autocast("cpu", torch.bfloat16):
            maps = self.network.forward_features(prepare(images))
            pooled = self.network.forward_head(maps, pre_logits=True)
            return self.classifier(pooled).float(), pooled.float()


def start(teacher: Teacher, config: dict, classes: Tensor, frozen: int) -> Student:
    """Return a student that sees as `teacher` does, with the first `frozen` stages fixed.

    `classes` are the embeddings of the class names ``[C, D]``.
    """
    visual = mini.build(config).visual
    visual.trunk.load_state_dict(teacher.trunk_state)
    last = teacher.classifier
    tower.start_head(visual.head.proj, last.weight, last.bias, classes)
    student = Student(visual, classes.shape[1]).to(memory_format=torch.channels_last).eval()
    tower.fast_depthwise(student.visual)
    if frozen:
        for module in (visual.trunk.conv_stem, visual.trunk.bn1, *visual.trunk.blocks[:frozen]):
            module.requires_grad_(False)
    return student


def export(config: dict, student: dict[str, Tensor], text: Path, path: Path) -> None:
    """Join the image tower and the text tower, fold W into the text projection, write float16."""
    model = mini.build(config)
    prefix = "visual."
    visual = {k[len(prefix) :]: v for k, v in student.items() if k.startswith(prefix)}
    model.visual.load_state_dict(visual)
    model.text.load_state_dict(mini.load_file(text))
    with torch.no_grad():
        model.text.text_projection.copy_(model.text.text_projection @ student["map.weight"].T)
        model.logit_scale.copy_(student["logit_scale"])
    mini.save(model, path)
