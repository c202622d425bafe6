"""ImageNet classifiers of timm with weights from a local file: teachers and judges."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from guidance.errors import InputError, ModelError, unknown

LITE = tuple(f"tf_efficientnet_lite{n}" for n in range(5))


def image_classifier(path: Path, name: str = LITE[0]) -> nn.Module:
    """Return timm's model `name` with the ImageNet weights of `path`.

    Published EfficientNet-Lite checkpoints name their layers differently but list them in timm's
    order; the shapes are checked one by one.

    Args:
        name: "" for whichever EfficientNet-Lite the weights fit.

    Raises:
        InputError: timm has no such model.
        ModelError: the weights do not fit it.
    """
    import timm

    if name and name not in timm.list_models():
        raise InputError(unknown("timm model", name, timm.list_models()))
    try:
        foreign = torch.load(path, map_location="cpu", weights_only=True)
        shapes = [tuple(v.shape) for v in foreign.values()]
    except Exception as error:  # pickle, zip and torch raise a dozen types
        raise ModelError(f"{path} is not a readable checkpoint: {error}") from None
    for candidate in (name,) if name else LITE:
        model = timm.create_model(candidate)
        own = model.state_dict()
        if shapes == [tuple(v.shape) for v in own.values()]:
            model.load_state_dict(dict(zip(own, foreign.values(), strict=True)))
            return model.eval()
    raise ModelError(f"{path} does not hold the weights of {name or 'an EfficientNet-Lite'}")
