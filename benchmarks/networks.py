"""The CLIP that both sides of a guided step have, with random weights, and what it is asked for."""

from __future__ import annotations

import json
import logging
from importlib import resources

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess

MEAN, STD = (0.4815, 0.4578, 0.4082), (0.2686, 0.2613, 0.2758)  # of the original CLIP
PROMPT = "a fox at sunrise"


def make_network(model: str) -> tuple[nn.Module, int]:
    """Return an open_clip network with random weights, and its input size."""
    import open_clip

    torch.manual_seed(0)
    if model == "mini":  # draws with the tower made for gradients
        text = (resources.files("guidance") / "clip/configs/mini-guide.json").read_text("utf-8")
        cfg = json.loads(text)["model_cfg"]
        cfg.pop("custom_text")
        network = open_clip.CustomTextCLIP(**cfg)
    else:
        logging.disable(logging.WARNING)  # it warns that the weights are random
        network = open_clip.create_model(model)
        logging.disable(logging.NOTSET)
    size = network.visual.image_size
    return network, size if isinstance(size, int) else size[0]


def target_of(network: nn.Module) -> Tensor:
    """Return the embedding of the prompt, ``[D]`` of unit length, as the usual loops have it."""
    import open_clip

    with torch.no_grad():
        tokens = open_clip.SimpleTokenizer()([PROMPT])
        return F.normalize(network.encode_text(tokens), dim=-1)[0]


def as_ours(network: nn.Module, size: int, precision: str = "fp32") -> ClipModel:
    """Return the network, which is changed in place, as our commands take it."""
    import open_clip

    preprocess = Preprocess(size, MEAN, STD)
    tokenizer = open_clip.SimpleTokenizer()
    return ClipModel(network, tokenizer, preprocess, name="random", precision=precision)
