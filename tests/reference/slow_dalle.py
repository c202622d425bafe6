"""The transformer of codes, as plain as can be: one position, head and pair at a time."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from guidance.models.dalle.transformer import Block, Transformer


def sees(kind: str, p: int, q: int, columns: int, kernel: int) -> bool:
    """Return whether code `p` of a picture sees code `q`, both counted in raster order."""
    if q > p:
        return False
    if kind == "full":
        return True
    if kind == "row":
        return q >= p - columns
    if kind == "column":
        return p % columns == q % columns
    half = kernel // 2
    squares = [p - up * columns + side for up in range(half + 1) for side in range(-half, half + 1)]
    return q in squares


def visible(network: Transformer, kind: str) -> list[list[int]]:
    """Return for each position of a sentence the positions that it sees."""
    config = network.config
    told, rows = config.told, []
    for p in range(told + config.positions):
        before = list(range(min(p + 1, told)))
        codes = range(config.positions if p >= told else 0)
        seen = [told + q for q in codes if sees(kind, p - told, q, config.columns, config.kernel)]
        rows.append(before + seen)
    return rows


def slow_logits(network: Transformer, vector: Tensor, codes: Tensor) -> Tensor:
    """Return what ``network(vector, codes)`` should, ``[N, P, codes]``."""
    config = network.config
    made = []
    for told, sentence in zip(vector, codes.tolist(), strict=True):
        x = [
            network.told[k].weight @ told[k * config.embedding : (k + 1) * config.embedding]
            + network.places[k]
            for k in range(config.told)
        ]
        for place, code in enumerate(sentence[:-1]):
            row, column = divmod(place, config.columns)
            x.append(
                network.enter.weight @ network.table[code]
                + network.rows[row]
                + network.columns[column]
            )
        for block, kind in zip(network.blocks, config.attention, strict=True):
            x = _block(block, x, visible(network, kind), config.heads)
        logits = [
            network.table @ (network.leave.weight @ _norm(network.last, row)) + network.frequent
            for row in x[config.told - 1 :]
        ]
        made.append(torch.stack(logits))
    return torch.stack(made)


def _block(block: Block, x: list[Tensor], seen: list[list[int]], heads: int) -> list[Tensor]:
    out = []
    parts = [block.attention.inward(_norm(block.first, row)).chunk(3) for row in x]
    for p, row in enumerate(x):
        found = []
        for head in range(heads):
            q, *_ = (part.chunk(heads)[head] for part in parts[p])
            keys = torch.stack([parts[s][1].chunk(heads)[head] for s in seen[p]])
            values = torch.stack([parts[s][2].chunk(heads)[head] for s in seen[p]])
            shares = torch.softmax(keys @ q / math.sqrt(len(q)), 0)
            found.append(shares @ values)
        row = row + block.attention.outward(torch.cat(found))
        wide = block.widen(_norm(block.second, row))
        curve = 0.5 * wide * (1 + torch.tanh(math.sqrt(2 / math.pi) * (wide + 0.044715 * wide**3)))
        out.append(row + block.narrow(curve))
    return out


def _norm(norm: torch.nn.LayerNorm, x: Tensor) -> Tensor:
    mean = x.mean()
    variance = (x - mean).pow(2).mean()
    return (x - mean) / torch.sqrt(variance + norm.eps) * norm.weight + norm.bias
