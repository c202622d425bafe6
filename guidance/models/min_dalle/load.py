"""The name of a DALL·E mini or mega → what writes codes and what paints them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from guidance.clip.model import PRECISIONS
from guidance.errors import ModelError
from guidance.models.codec import Codec
from guidance.models.min_dalle.detokeniser import load_detokeniser
from guidance.models.min_dalle.files import find
from guidance.models.min_dalle.network import HEAD, Decoder, Encoder, Sizes
from guidance.models.min_dalle.tokens import read_subwords
from guidance.models.min_dalle.writer import MinDalleWriter
from guidance.models.weights_fit import faults
from guidance.pretrained.foreign import read_state

CFG = 16.0  # usual scale of guidance, min-dalle's "supercondition"
# norms that a linear layer follows, which does their scaling: the published ones have none
_UNSCALED = re.compile(
    r"(?:layers\.[0-9]+\.(?:pre_self_attn_layer_norm|pre_encoder_attn_layer_norm|glu\.ln[01])"
    r"|final_ln)\.weight"
)
Half = TypeVar("Half", Encoder, Decoder)
_LAYER = re.compile(r"layers\.([0-9]+)\.")


def load_min_dalle(
    name: str, *, device: torch.device | str, precision: str = "fp32"
) -> tuple[MinDalleWriter, Codec]:
    """Load a model by name, see `guidance.models.min_dalle.files`.

    Args:
        device: where it runs.
        precision: arithmetic and weights of the writer: "fp32", "bf16" or "fp16"; that of painting.

    Raises:
        ModelError: files are missing, damaged, incomplete or do not belong together, or cannot be
            had offline; the message names file and entries.
    """
    files, dtype = find(name), PRECISIONS[precision]
    encoder = _half(Encoder, files.encoder, dtype).to(device)
    decoder = _half(Decoder, files.decoder, dtype).to(device)
    if encoder.sizes.width != decoder.sizes.width:
        raise ModelError(
            f"{files.encoder} and {files.decoder} are of two models: one has "
            f"{encoder.sizes.width} channels, the other {decoder.sizes.width}"
        )
    subwords = read_subwords(files.vocab, files.merges, encoder.sizes.rows)
    codec = load_detokeniser(files.detoker, device=device, precision=precision)
    if codec.codes >= decoder.sizes.rows:
        raise ModelError(
            f"{files.decoder} writes {decoder.sizes.rows - 1} codes but {files.detoker} has "
            f"{codec.codes}"
        )
    writer = MinDalleWriter(encoder, decoder, subwords, name=name, codes=codec.codes)
    return writer, codec


def sizes_of(state: Mapping[str, Tensor], path: Path) -> Sizes:
    """Return the sizes of an encoder or decoder from its weights' shapes.

    Raises:
        ModelError: it is none.
    """

    def shape(name: str) -> torch.Size:
        value = state.get(name)
        if value is None or value.ndim != 2:
            said = f"it lacks {name}" if value is None else f"its {name} is no matrix"
            raise ModelError(f"{path} is no part of a DALL·E mini: {said}")
        return value.shape

    rows, width = shape("embed_tokens.weight")
    if not width or width % HEAD:
        raise ModelError(
            f"the channels in {path} must be a multiple of {HEAD} but embed_tokens.weight has "
            f"{width}"
        )
    layers = {int(match[1]) for name in state if (match := _LAYER.match(name))}
    return Sizes(
        rows=rows,
        positions=shape("embed_positions.weight")[0],
        width=width,
        gated=shape("layers.0.glu.fc0.weight")[0],
        layers=len(layers),  # counted, not the largest, which a bad file may set at will
    )


def _half(kind: type[Half], path: Path, dtype: torch.dtype) -> Half:
    state = read_state(path)
    sizes = sizes_of(state, path)
    if kind is Decoder and math.isqrt(sizes.positions) ** 2 != sizes.positions:
        raise ModelError(f"{path} writes pictures of {sizes.positions} codes, which is no square")
    with torch.device("meta"):  # neither memory nor random numbers for weights that are replaced
        network = kind(sizes)
    _fill(network, state, path, dtype)
    return network


def _fill(network: nn.Module, state: Mapping[str, Tensor], path: Path, dtype: torch.dtype) -> None:
    """Give a network the tensors of a file; a scale that a norm does not have is 1."""
    wanted = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    ones = {
        name: torch.ones(shape)
        for name, shape in wanted.items()
        if _UNSCALED.fullmatch(name) and name not in state
    }
    full = {**state, **ones}
    if wrong := faults(wanted, full):
        raise ModelError(f"{path} does not fit its architecture: it {'; it '.join(wrong)}")
    # copied, since the file may be mapped
    weights = {name: full[name].to(dtype, copy=True).contiguous() for name in wanted}
    network.load_state_dict(weights, assign=True)
