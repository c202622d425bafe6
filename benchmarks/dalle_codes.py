"""Codes a second of writing pictures: with a memory, without, and DALL·E mini's decoder as usual.

All have about eleven million weights, drawn at random; pictures are of 16 x 16 codes of 8,192. The
peer is the decoder of DALL·E mini as min-dalle runs it: its memory has the length of the whole
picture from the start, and every code looks at all of it under a mask.

    python -m benchmarks.dalle_codes
    python -m benchmarks.dalle_codes --pictures 2 --codes 4 --repeats 1
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

import guidance
from benchmarks.measure import least_times
from guidance.converting import from_table
from guidance.models.dalle.config import DalleConfig
from guidance.models.dalle.transformer import Transformer
from guidance.models.dalle.writer import DalleWriting
from guidance.models.min_dalle.network import HEAD, Decoder, Sizes

CONFIG = Path(guidance.__file__).parent / "models/configs/mini-dalle.json"
MINI_DALLE = Sizes(rows=8193, positions=256, width=256, gated=683, layers=6)
TEXT = 64  # subwords that DALL·E mini is told


@torch.no_grad()
def usual(decoder: Decoder, states: Tensor, codes: Tensor) -> Tensor:
    """Write codes ``[N, n]`` as min-dalle does; return the logits after the last, ``[N, rows]``.

    Args:
        states: of the text, ``[N, T, D]``.
    """
    sizes, count = decoder.sizes, len(codes)
    shape = (sizes.layers, count, sizes.positions, sizes.width)
    keys, values = torch.zeros(shape), torch.zeros(shape)
    told = [
        (layer.encoder_attn.k_proj(states), layer.encoder_attn.v_proj(states))
        for layer in decoder.layers
    ]
    places, logits = torch.arange(sizes.positions), torch.empty(0)
    for place, code in enumerate(codes.unbind(1)):
        x = decoder.embed_tokens(code) + decoder.embed_positions.weight[place]
        x = decoder.layernorm_embedding(x)
        mask = torch.where(places <= place, 0.0, -1e12)
        for number, layer in enumerate(decoder.layers):
            own, y = layer.self_attn, layer.pre_self_attn_layer_norm(x)
            keys[number, :, place], values[number, :, place] = own.k_proj(y), own.v_proj(y)
            y = _look(own.q_proj(y), keys[number], values[number], mask)
            x = x + layer.self_attn_layer_norm(own.out_proj(y))
            text, y = layer.encoder_attn, layer.pre_encoder_attn_layer_norm(x)
            y = _look(text.q_proj(y), *told[number], torch.zeros(states.shape[1]))
            x = x + layer.encoder_attn_layer_norm(text.out_proj(y))
            x = x + layer.glu(x)
        logits = decoder.lm_head(decoder.final_ln(x))
    return logits


def _look(q: Tensor, keys: Tensor, values: Tensor, mask: Tensor) -> Tensor:
    """Return what rows ``[N, D]`` take from ``[N, S, D]``, head by head, written out."""
    q, keys, values = (x.unflatten(-1, (-1, HEAD)) for x in (q, keys, values))
    scores = torch.einsum("nhd,nshd->nhs", q / HEAD**0.5, keys) + mask
    return torch.einsum("nhs,nshd->nhd", scores.softmax(-1), values).flatten(1)


@torch.no_grad()
def ours(network: Transformer, vector: Tensor, codes: Tensor, dtype: torch.dtype) -> Tensor:
    """Write codes ``[N, n]``, each of them but the last; return the logits of the last."""
    writing = DalleWriting(network, vector, dtype)
    logits = writing.next(None)
    for code in codes[:, :-1].unbind(1):
        logits = writing.next(code)
    return logits


@torch.no_grad()
def without(network: Transformer, vector: Tensor, codes: Tensor) -> Tensor:
    """Say what one more code may be, from all before it anew."""
    return network(vector, codes)[:, -1]


def sides(pictures: int, codes: int) -> dict[str, tuple[Callable[[], object], int]]:
    """Return each way to write, and how many codes of each picture a call writes."""
    torch.manual_seed(0)
    config = from_table(DalleConfig, json.loads(CONFIG.read_text(encoding="utf-8")), CONFIG.name)
    network, decoder = Transformer(config).eval(), Decoder(MINI_DALLE).eval()
    vector = torch.randn(pictures, config.told * config.embedding)
    states = torch.randn(pictures, TEXT, MINI_DALLE.width)
    whole = torch.randint(config.codes, (pictures, config.positions))
    part = whole[:, :codes]
    return {
        "DALL·E mini's decoder, as usual": (lambda: usual(decoder, states, part), codes),
        "ours without a memory": (lambda: without(network, vector, whole), 1),
        "ours": (lambda: ours(network, vector, part, torch.float32), codes),
        "ours, bf16": (lambda: ours(network, vector, part, torch.bfloat16), codes),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Print codes a second of all pictures together, and the ratio to the peer."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=int, default=32, help="written at once")
    parser.add_argument("--codes", type=int, default=256, help="of each picture, at most 256")
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args(argv)
    made = sides(args.pictures, args.codes)
    times = least_times({name: call for name, (call, _) in made.items()}, args.repeats)
    rates = {name: args.pictures * count / times[name] for name, (_, count) in made.items()}
    peer = next(iter(rates.values()))
    print(f"{'':<34} {'codes/s':>9} {'ratio':>7}")
    for name, rate in rates.items():
        print(f"{name:<34} {rate:>9.0f} {rate / peer:>7.2f}")


if __name__ == "__main__":
    main()
