"""The dVAE of Ramesh et al. 2021 written out, and its likelihood pixel by pixel.

It works on a state dict with the names of the published pickles, which say what layers there are;
it has neither modules nor a config, and shares nothing with the package.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

State = dict[str, Tensor]


def conv(state: State, name: str, x: Tensor) -> Tensor:
    weight = state[f"{name}.w"]
    return F.conv2d(x, weight, state[f"{name}.b"], padding=weight.shape[-1] // 2)


def block(state: State, name: str, x: Tensor, gain: float) -> Tensor:
    """One bottleneck: four rectified convolutions beside a path that changes only the width."""
    h = x
    for number in (1, 2, 3, 4):
        h = conv(state, f"{name}.res_path.conv_{number}", h.clamp(min=0))
    aside = conv(state, f"{name}.id_path", x) if f"{name}.id_path.w" in state else x
    return aside + gain * h


def chain(state: State, x: Tensor, resize) -> Tensor:
    """The whole of one half; `resize` is applied between the groups."""
    names = {tuple(n.split(".")[1:3]) for n in state if ".block_" in n}
    groups = len({group for group, _ in names})
    gain = 1 / len(names) ** 2
    x = conv(state, "blocks.input", x)
    for g in range(1, groups + 1):
        for b in range(1, len(names) // groups + 1):
            x = block(state, f"blocks.group_{g}.block_{b}", x, gain)
        x = resize(x) if g < groups else x
    return conv(state, "blocks.output.conv", x.clamp(min=0))


def halved(x: Tensor) -> Tensor:
    """The largest of each 2 × 2 values."""
    return torch.stack([x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]).amax(0)


def doubled(x: Tensor) -> Tensor:
    return x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)


def codes(encoder: State, images: Tensor) -> Tensor:
    """Return the likeliest code of each cell."""
    return chain(encoder, images * 0.8 + 0.1, halved).argmax(1)


def pictures(decoder: State, codes: Tensor) -> Tensor:
    """Return the pictures of codes ``[N, h, w]``."""
    count = decoder["blocks.input.w"].shape[1]
    one_hot = (codes[:, None] == torch.arange(count)[None, :, None, None]).to(torch.float32)
    middle = chain(decoder, one_hot, doubled)[:, :3]
    return ((1 / (1 + (-middle).exp()) - 0.1) / 0.8).clamp(0, 1)


def log_density(image: Tensor, told: Tensor) -> float:
    """Return the sum of the log densities of one image ``[3, H, W]`` under ``[6, H, W]``."""
    total = 0.0
    for c in range(3):
        for y in range(image.shape[1]):
            for x in range(image.shape[2]):
                value = 0.8 * float(image[c, y, x]) + 0.1
                middle, width = float(told[c, y, x]), math.exp(float(told[c + 3, y, x]))
                logit = math.log(value / (1 - value))
                density = math.exp(-abs(logit - middle) / width)
                density /= 2 * width * value * (1 - value)
                total += math.log(density)
    return total
