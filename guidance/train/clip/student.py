"""The network that `guidance.train.clip` trains: an open_clip model and what serves its losses."""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.context import cut
from guidance.train.clip import model
from guidance.train.clip.sections import ModelOptions
from guidance.train.data.names import photo_of


class Student(nn.Module):
    """An open_clip `network`, two temperatures and a map for hints.

    `hint` maps the tower's pooled features to a teacher's (Romero et al. 2015, arXiv:1412.6550);
    like `class_scale` it serves the training only.
    """

    network: Any  # the classes that open_clip builds share no type
    mean: Tensor
    std: Tensor

    def __init__(
        self, network: Any, config: dict[str, Any], scale: float, *, text_map: bool = False
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
        if self.map is not None:
            nn.init.eye_(self.map.weight)

    @property
    def scale(self) -> Tensor:
        """The learned scale of the cosines, at most 100."""
        return self.network.logit_scale.clamp(max=math.log(100)).exp()

    @property
    def hint_map(self) -> nn.Linear:
        """The map `hint`.

        Raises:
            ValueError: the image tower has no pooled features to map.
        """
        if self.hint is None:
            raise ValueError("this image tower has no pooled features of a timm trunk")
        return self.hint

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


def class_texts() -> list[str]:
    """Return a sentence for each of the 1000 ImageNet classes, in their order."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    return [photo_of(name) for name in IMAGENET_CLASSNAMES]


@torch.no_grad()
def read_all(student: Student, tokens: Tensor, device: torch.device, size: int = 512) -> Tensor:
    """Return the unit embeddings of all `tokens` ``[T, L]`` with the text tower as it is."""
    order = (tokens != 0).sum(1).argsort()
    out = torch.zeros(len(tokens), student.dim, device=device)
    for part in order.split(size):
        with cut(student.network, tokens[part]) as short:
            out[part.to(device)] = F.normalize(student.read(short.to(device)).float(), dim=-1)
    return out
