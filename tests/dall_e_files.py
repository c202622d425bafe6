"""OpenAI's two files of a dVAE in their form: pickled modules of a package ``dall_e``.

The classes are made for the moment of writing, with the published names of modules, classes,
attributes and layers; they compute nothing, and whoever reads the file has no such package.
"""

from __future__ import annotations

import sys
import types
import warnings
from collections import OrderedDict
from pathlib import Path

import torch
from torch import nn

SIZES = {"codes": 40, "width": 8, "groups": 4, "blocks": 2, "entry": 12}


def classes() -> dict[str, type]:
    """Return the published classes, as if the package were installed."""
    names = ("encoder.Encoder", "encoder.EncoderBlock", "decoder.Decoder", "decoder.DecoderBlock",
             "utils.Conv2d")  # fmt: skip
    return {
        name: type(name.split(".")[1], (nn.Module,), {"__module__": f"dall_e.{name.split('.')[0]}"})
        for name in names
    }


class Builder:
    """Builds both halves out of such classes, with random weights."""

    def __init__(self, seed: int = 0, **sizes: int):
        self.sizes = types.SimpleNamespace(**(SIZES | sizes))
        self.kinds, self.rng = classes(), torch.Generator().manual_seed(seed)

    def conv(self, inside: int, outside: int, side: int, half: bool = True) -> nn.Module:
        conv = self.kinds["utils.Conv2d"]()
        for name, value in (("n_in", inside), ("n_out", outside), ("kw", side),
                            ("use_float16", half), ("device", torch.device("cpu")),
                            ("requires_grad", False)):  # fmt: skip
            setattr(conv, name, value)
        weight = torch.randn(outside, inside, side, side, generator=self.rng)
        conv.w = nn.Parameter(weight * (inside * side**2) ** -0.5 * 2)
        conv.b = nn.Parameter(torch.randn(outside, generator=self.rng) * 0.3)
        return conv

    def block(self, half: str, inside: int, outside: int) -> nn.Module:
        block = self.kinds[f"{half.lower()}.{half}Block"]()
        block.n_in, block.n_out, block.n_hid = inside, outside, outside // 4
        block.n_layers = self.sizes.groups * self.sizes.blocks
        block.post_gain, block.device, block.requires_grad = 1 / block.n_layers**2, None, False
        block.id_path = self.conv(inside, outside, 1) if inside != outside else nn.Identity()
        sides, hid = ((3, 3, 3, 1) if half == "Encoder" else (1, 3, 3, 3)), block.n_hid
        layers, widths = [], (inside, hid, hid, hid, outside)
        for i, side in enumerate(sides):
            layers.append((f"relu_{i + 1}", nn.ReLU()))
            layers.append((f"conv_{i + 1}", self.conv(widths[i], widths[i + 1], side)))
        block.res_path = nn.Sequential(OrderedDict(layers))
        return block

    def half(self, half: str) -> nn.Module:
        """Return an ``Encoder`` or a ``Decoder``."""
        sizes, encodes = self.sizes, half == "Encoder"
        widths = [sizes.width * 2**i for i in range(sizes.groups)]
        widths = widths if encodes else widths[::-1]
        inside = sizes.width if encodes else sizes.entry
        first = (3, inside, 7) if encodes else (sizes.codes, inside, 1)
        layers = [("input", self.conv(*first, half=encodes))]
        for number, width in enumerate(widths):
            group = []
            for i in range(sizes.blocks):
                group.append((f"block_{i + 1}", self.block(half, inside, width)))
                inside = width
            if number < sizes.groups - 1:
                between = nn.MaxPool2d(2) if encodes else nn.Upsample(scale_factor=2)
                group.append(("pool" if encodes else "upsample", between))
            layers.append((f"group_{number + 1}", nn.Sequential(OrderedDict(group))))
        last = self.conv(inside, sizes.codes if encodes else 6, 1, half=not encodes)
        output = OrderedDict([("relu", nn.ReLU()), ("conv", last)])
        module = self.kinds[f"{half.lower()}.{half}"]()
        module.n_hid, module.vocab_size = sizes.width, sizes.codes
        module.n_blk_per_group, module.input_channels = sizes.blocks, 3
        module.device, module.use_mixed_precision = torch.device("cpu"), True
        module.blocks = nn.Sequential(OrderedDict([*layers, ("output", nn.Sequential(output))]))
        return module


def save(kinds: dict[str, type], module: object, path: Path, *, zipped: bool = True) -> None:
    """Write ``torch.save(module)`` as if the package were installed; it is gone afterwards."""
    for name, kind in kinds.items():
        module_name = f"dall_e.{name.split('.')[0]}"
        sys.modules.setdefault("dall_e", types.ModuleType("dall_e"))
        setattr(sys.modules.setdefault(module_name, types.ModuleType(module_name)),
                kind.__name__, kind)  # fmt: skip
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # these classes have no source to bring along
            torch.save(module, path, _use_new_zipfile_serialization=zipped)
    finally:
        for name in [n for n in sys.modules if n.split(".")[0] == "dall_e"]:
            del sys.modules[name]


def write(folder: Path, *, zipped: bool = True, **sizes: int) -> dict[str, dict]:
    """Write ``encoder.pkl`` and ``decoder.pkl``; return their state dicts by file."""
    folder.mkdir(parents=True, exist_ok=True)
    builder, states = Builder(**sizes), {}
    for half in ("Encoder", "Decoder"):
        module, file = builder.half(half), f"{half.lower()}.pkl"
        save(builder.kinds, module, folder / file, zipped=zipped)
        states[file] = module.state_dict()
    return states
