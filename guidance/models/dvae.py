"""Pictures ↔ codes by a discrete variational autoencoder, the first half of DALL·E.

Ramesh et al. 2021, "Zero-Shot Text-to-Image Generation", arXiv:2102.12092, appendix A.1: groups of
bottleneck blocks around pooling and nearest-neighbour enlargement; the encoder ends in a logit for
each code, the decoder begins with a weighted sum of codes, and its six channels are what
`guidance.models.logit_laplace` says. Modules have the names of the published weights.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.conventions import check_images
from guidance.errors import InputError
from guidance.models.codes import check_codes
from guidance.models.dvae_config import DvaeConfig
from guidance.models.logit_laplace import expected, squeeze


class Dvae(nn.Module):
    """Encoder and decoder of one dVAE; images are in [0, 1].

    Attributes:
        codes: how many a cell chooses from, K.
        factor: pixels along a cell.
    """

    def __init__(self, config: DvaeConfig, name: str = "the dVAE"):
        super().__init__()
        self.config, self.name = config, name
        self.codes, self.factor = config.codes, config.factor
        self.encoder, self.decoder = _Blocks(_encoder(config)), _Blocks(_decoder(config))

    def logits(self, images: Tensor) -> Tensor:
        """Return a logit for each code in each cell of images ``[N, 3, H, W]``: ``[N, K, h, w]``.

        Raises:
            InputError: a shape that does not fit.
        """
        check_images("images", images)
        height, width = images.shape[-2:]
        if height % self.factor or width % self.factor:
            raise InputError(
                f"both sides of an image for {self.name} must be multiples of {self.factor} pixels "
                f"but it has {width}x{height}"
            )
        return self.encoder(squeeze(images))

    def told(self, weights: Tensor) -> Tensor:
        """Return what the decoder says of pixels, ``[N, 6, H, W]``: middles, then log widths.

        Args:
            weights: ``[N, K, h, w]``, of the codes in each cell; they sum to 1.
        """
        return self.decoder(weights)

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Return the likeliest code of each cell: ``[N, 3, H, W]`` → int64 ``[N, h, w]``."""
        first = next(self.parameters())
        return self.logits(images.to(first.device, first.dtype)).argmax(1)

    @torch.no_grad()
    def decode(self, codes: Tensor) -> Tensor:
        """Return the pictures of codes, int64 ``[N, h, w]``: ``[N, 3, H, W]`` in [0, 1]."""
        check_codes(codes, self.codes)
        entry, *others = self.decoder.blocks
        assert isinstance(entry, nn.Conv2d)
        assert entry.bias is not None
        # a convolution of one-hot codes, without the 8,192 channels in memory
        x = F.embedding(codes.to(entry.weight.device), entry.weight.flatten(1).T) + entry.bias
        x = x.movedim(-1, 1).contiguous()
        for block in others:
            x = block(x)
        return expected(x.float())


class _Blocks(nn.Module):
    """A chain of named modules under the name that the published weights have."""

    def __init__(self, blocks: nn.Sequential):
        super().__init__()
        self.blocks = blocks

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


class _Block(nn.Module):
    """A bottleneck block; its branch is scaled down the more, the more blocks there are."""

    def __init__(self, inside: int, outside: int, kernels: tuple[int, ...], gain: float):
        super().__init__()
        self.gain, hidden = gain, outside // 4
        widths = (inside, hidden, hidden, hidden, outside)
        self.id_path = _conv(inside, outside, 1) if inside != outside else nn.Identity()
        self.res_path = nn.Sequential()
        for i, kernel in enumerate(kernels):
            self.res_path.add_module(f"relu_{i + 1}", nn.ReLU())
            self.res_path.add_module(f"conv_{i + 1}", _conv(widths[i], widths[i + 1], kernel))

    def forward(self, x: Tensor) -> Tensor:
        return self.id_path(x) + self.gain * self.res_path(x)


def _encoder(config: DvaeConfig) -> nn.Sequential:
    widths = [config.width * 2**i for i in range(config.groups)]
    pools: list[nn.Module] = [nn.MaxPool2d(2) for _ in widths[1:]]
    entry = _conv(3, config.width, 7)
    groups = _groups(config, config.width, widths, (3, 3, 3, 1), ("pool", pools))
    return _chain(entry, groups, _conv(widths[-1], config.codes, 1))


def _decoder(config: DvaeConfig) -> nn.Sequential:
    widths = [config.width * 2**i for i in reversed(range(config.groups))]
    larger: list[nn.Module] = [nn.Upsample(scale_factor=2, mode="nearest") for _ in widths[1:]]
    entry = _conv(config.codes, config.entry, 1)
    groups = _groups(config, config.entry, widths, (1, 3, 3, 3), ("upsample", larger))
    return _chain(entry, groups, _conv(config.width, 6, 1))


def _groups(
    config: DvaeConfig,
    inside: int,
    widths: list[int],
    kernels: tuple[int, ...],
    between: tuple[str, list[nn.Module]],
) -> list[nn.Sequential]:
    """Return the groups of blocks; `between` is the name and the modules at the ends of them."""
    gain, groups = 1 / (config.groups * config.blocks) ** 2, []
    name, resizers = between
    for number, width in enumerate(widths):
        group = nn.Sequential()
        for i in range(config.blocks):
            group.add_module(f"block_{i + 1}", _Block(inside, width, kernels, gain))
            inside = width
        if number < len(resizers):
            group.add_module(name, resizers[number])
        groups.append(group)
    return groups


def _chain(entry: nn.Module, groups: list[nn.Sequential], last: nn.Module) -> nn.Sequential:
    blocks = nn.Sequential()
    blocks.add_module("input", entry)
    for number, group in enumerate(groups):
        blocks.add_module(f"group_{number + 1}", group)
    output = nn.Sequential()
    output.add_module("relu", nn.ReLU())
    output.add_module("conv", last)
    blocks.add_module("output", output)
    return blocks


def _conv(inside: int, outside: int, kernel: int) -> nn.Conv2d:
    """Return a convolution that keeps the size, with the published start of its weights."""
    conv = nn.Conv2d(inside, outside, kernel, padding=kernel // 2)
    nn.init.normal_(conv.weight, std=(inside * kernel**2) ** -0.5)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
