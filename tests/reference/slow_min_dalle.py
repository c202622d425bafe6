"""The transformer of DALL·E mini written out: no modules, no cache, one head and place at a time.

It works on state dicts with the published names and shares nothing with the package.
"""

import math

import torch
from torch import Tensor

State = dict[str, Tensor]


def norm(state: State, name: str, x: Tensor) -> Tensor:
    """Scale the rows of ``[L, D]``; a norm without a weight in the file does not stretch."""
    x = x - x.mean(-1, keepdim=True)
    x = x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    return x * state.get(f"{name}.weight", 1.0) + state[f"{name}.bias"]


def attention(state: State, name: str, x: Tensor, source: Tensor, seen: list[list[int]]) -> Tensor:
    """Attend from the rows of `x` to those of `source` that each may see."""
    q, k, v = (
        s @ state[f"{name}.{n}_proj.weight"].T for s, n in ((x, "q"), (source, "k"), (source, "v"))
    )
    out = torch.zeros_like(q)
    for head in range(q.shape[1] // 64):
        part = slice(64 * head, 64 * head + 64)
        for row, places in enumerate(seen):
            scores = torch.stack([q[row, part] @ k[p, part] / 8 for p in places])
            weights = scores.softmax(0)
            out[row, part] = sum(w * v[p, part] for w, p in zip(weights, places, strict=True))
    return out @ state[f"{name}.out_proj.weight"].T


def gated(state: State, name: str, x: Tensor) -> Tensor:
    x = norm(state, f"{name}.ln0", x)
    h = x @ state[f"{name}.fc0.weight"].T
    h = 0.5 * h * (1 + torch.erf(h / math.sqrt(2)))
    h = norm(state, f"{name}.ln1", h * (x @ state[f"{name}.fc1.weight"].T))
    return h @ state[f"{name}.fc2.weight"].T


def layers(state: State) -> list[str]:
    numbers = {int(n.split(".")[1]) for n in state if n.startswith("layers.")}
    return [f"layers.{n}" for n in sorted(numbers)]


def encode(state: State, numbers: list[int]) -> Tensor:
    """Return the states of a text, filled up to all positions with the number 1."""
    count = len(state["embed_positions.weight"])
    filled = numbers + [1] * (count - len(numbers))
    seen = [[i for i, n in enumerate(filled) if n != 1]] * count
    x = state["embed_tokens.weight"][filled] + state["embed_positions.weight"]
    x = norm(state, "layernorm_embedding", x)
    for layer in layers(state):
        y = norm(state, f"{layer}.pre_self_attn_layer_norm", x)
        y = attention(state, f"{layer}.self_attn", y, y, seen)
        x = x + norm(state, f"{layer}.self_attn_layer_norm", y)
        x = x + gated(state, f"{layer}.glu", x)
    return norm(state, "final_ln", x)


def logits(state: State, text: Tensor, numbers: list[int], codes: list[int]) -> Tensor:
    """Return the logits of the position behind `codes`, of all rows of the embedding.

    Args:
        text: states of the encoder.
        numbers: of the text, which say how many of the states there are.
    """
    begun = [len(state["embed_tokens.weight"]) - 1, *codes]
    x = state["embed_tokens.weight"][begun] + state["embed_positions.weight"][: len(begun)]
    x = norm(state, "layernorm_embedding", x)
    before = [list(range(i + 1)) for i in range(len(begun))]
    told = [list(range(len(numbers)))] * len(begun)
    for layer in layers(state):
        y = norm(state, f"{layer}.pre_self_attn_layer_norm", x)
        y = attention(state, f"{layer}.self_attn", y, y, before)
        x = x + norm(state, f"{layer}.self_attn_layer_norm", y)
        y = norm(state, f"{layer}.pre_encoder_attn_layer_norm", x)
        y = attention(state, f"{layer}.encoder_attn", y, text, told)
        x = x + norm(state, f"{layer}.encoder_attn_layer_norm", y)
        x = x + gated(state, f"{layer}.glu", x)
    return norm(state, "final_ln", x[-1:])[0] @ state["lm_head.weight"].T


def subwords(text: str, numbers: dict[str, int], merges: list[str]) -> list[int]:
    """Return the numbers of a text: each merge in the order of the list, wherever it fits."""
    out = [numbers["<s>"]]
    for word in "".join(c for c in text.lower() if ord(c) < 128).split(" "):
        parts = ["Ġ", *word] if word else []
        for merge in merges:
            left, right = merge.split()
            i = 0
            while i < len(parts) - 1:
                if (parts[i], parts[i + 1]) == (left, right):
                    parts[i : i + 2] = [left + right]
                i += 1
        out += [numbers.get(part, numbers["<unk>"]) for part in parts]
    return [*out, numbers["</s>"]]
