"""A tiny DALL·E mini in min-dalle's files, with the published names and ratios of the shapes."""

from __future__ import annotations

import json
from pathlib import Path

import torch
from taming_files import narrow
from torch import Tensor

NAMES = ("encoder.pt", "decoder.pt", "detoker.pt", "vocab.json", "merges.txt")
MERGES = (
    "f o",
    "Ġ a",
    "fo x",
    "Ġ fox",
    "s u",
    "su n",
    "Ġ sun",
    "r i",
    "ri s",
    "ris e",
    "Ġ b",
    "a b",
)
CODES, CELLS, TEXT, WIDTH = 24, 16, 12, 128  # of the tiny one; 16,384, 256, 64 and 1,024
GATED = 341  # 2,730 of 1,024 are 341 of 128
UNSCALED = ("pre_self_attn_layer_norm", "pre_encoder_attn_layer_norm", "ln0", "ln1", "final_ln")


def vocabulary() -> dict[str, int]:
    """Return subwords as the published ones are numbered: marks, letters, then merges."""
    marks = ["<s>", "<pad>", "</s>", "<unk>"]
    letters = ["Ġ", *"abcdefghijklmnoprstuvwxyz"]  # no q
    return {s: i for i, s in enumerate([*marks, *letters, *(m.replace(" ", "") for m in MERGES)])}


def shapes(
    half: str, rows: int, places: int, width: int, gated: int, layers: int
) -> dict[str, tuple[int, ...]]:
    """Return the published entries of ``encoder.pt`` or ``decoder.pt``, with all scales."""
    found: dict[str, tuple[int, ...]] = {
        "embed_tokens.weight": (rows, width),
        "embed_positions.weight": (places, width),
    }

    def norm(name: str, size: int = width) -> None:
        found.update({f"{name}.weight": (size,), f"{name}.bias": (size,)})

    norm("layernorm_embedding")
    norm("final_ln")
    for layer in (f"layers.{i}" for i in range(layers)):
        for name in ("self",) if half == "encoder" else ("self", "encoder"):
            norm(f"{layer}.pre_{name}_attn_layer_norm")
            norm(f"{layer}.{name}_attn_layer_norm")
            for part in ("k", "v", "q", "out"):
                found[f"{layer}.{name}_attn.{part}_proj.weight"] = (width, width)
        norm(f"{layer}.glu.ln0")
        norm(f"{layer}.glu.ln1", gated)
        for part in ("fc0", "fc1"):
            found[f"{layer}.glu.{part}.weight"] = (gated, width)
        found[f"{layer}.glu.fc2.weight"] = (width, gated)
    if half == "decoder":
        found["lm_head.weight"] = (rows, width)
    return found


def random_half(
    half: str, seed: int = 0, *, scaled: bool = False, **sizes: int
) -> dict[str, Tensor]:
    """Return random weights; without `scaled` the norms before linear layers have no scale."""
    rng = torch.Generator().manual_seed(seed)
    rows, places = (len(vocabulary()), TEXT) if half == "encoder" else (CODES + 8, CELLS)
    sizes = {"rows": rows, "places": places, "width": WIDTH, "gated": GATED, "layers": 2} | sizes
    state = {}
    for name, shape in shapes(half, **sizes).items():
        last = name.split(".")[-2]
        if name.endswith("weight") and last in UNSCALED and not scaled:
            continue
        value = torch.randn(shape, generator=rng)
        if len(shape) == 2:
            state[name] = value * (0.5 if "embed" in name else 2 * shape[1] ** -0.5)
        else:
            state[name] = 0.3 * value + (name.endswith("weight"))
    return state


def detoker(seed: int = 0) -> dict[str, Tensor]:
    """Return the decoder's half of a narrow VQGAN with factor 4, under the published names."""
    torch.manual_seed(seed)
    state = narrow(ch_mult=(1, 2, 2), attended=(2,), n_embed=CODES)
    kept = {k: v for k, v in state.items() if k.startswith(("decoder.", "post_quant_conv."))}
    return {"embedding.weight": state["quantize.embedding.weight"], **kept}


def write(folder: Path, suffix: str = "", **changes: object) -> dict[str, dict]:
    """Write all files, flat; `changes` replace states by part. Return the states by part."""
    folder.mkdir(parents=True, exist_ok=True)
    states = {
        "encoder": random_half("encoder", 1),
        "decoder": random_half("decoder", 2),
        "detoker": detoker(),
    } | changes
    for part, state in states.items():
        torch.save(state, folder / f"{part}{'' if part == 'detoker' else suffix}.pt")
    (folder / f"vocab{suffix}.json").write_text(json.dumps(vocabulary()), encoding="utf-8")
    text = "\n".join(["#version: 0.2", *MERGES, ""])
    (folder / f"merges{suffix}.txt").write_text(text, encoding="utf-8")
    return states
