"""``detoker.pt`` → a codec that paints: codebook and decoder of a VQGAN, without its encoder.

It is the VQGAN of DALL·E mini (f16, 16,384 codes), whose pixels are in [0, 1] rather than in
[-1, 1] as those of taming-transformers, and its names are taming's but for the codebook's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from diffusers import VQModel
from torch import Tensor

from guidance.errors import InputError, ModelError
from guidance.models.codec import VqganCodec
from guidance.models.latents import Latents
from guidance.models.taming import build, fill, misfits, taming_names
from guidance.models.taming_architecture import infer
from guidance.pretrained.foreign import read_state

_CODEBOOK, _TAMING = "embedding.weight", "quantize.embedding.weight"


class Detokeniser(VqganCodec):
    """Codes → pictures; there is no way back."""

    def encode(self, images: Tensor) -> Tensor:
        """Raise `InputError`: the file holds no encoder."""
        raise InputError(
            f"{self.name} paints codes and reads no pictures: its file has no encoder, so that no "
            "picture can be continued"
        )


def load_detokeniser(
    path: Path, *, device: torch.device | str, precision: str = "fp32"
) -> Detokeniser:
    """Load a detokeniser.

    Args:
        path: ``detoker.pt``.
        device: where it runs.
        precision: arithmetic of painting, see `Latents.place`.

    Raises:
        FileError, ModelError: it does not exist, is damaged, incomplete or something else.
    """
    state = {_TAMING if k == _CODEBOOK else k: v for k, v in read_state(path).items()}
    network = _network(state, path)
    codebook = network.quantize.embedding.weight
    factor = 2 ** (len(network.config.block_out_channels) - 1)
    latents = Latents(
        network,
        name=str(path),
        factor=factor,
        channels=codebook.shape[1],
        codebook=codebook,
        unit=True,
    )
    return Detokeniser(latents.place(device, precision))


def _network(state: Mapping[str, Tensor], path: Path) -> VQModel:
    try:
        architecture = infer(state)
    except ModelError as error:
        raise ModelError(f"{path} is no detokeniser of DALL·E mini: {error}") from None
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = build(architecture, path)
    del network.encoder, network.quant_conv
    names = taming_names(network, architecture)
    if wrong := misfits(network, names, state):
        said = "; it ".join(wrong).replace(_TAMING, _CODEBOOK)
        raise ModelError(f"{path} does not fit its architecture: it {said}")
    fill(network, names, state)
    return network.eval()
