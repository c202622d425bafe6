"""The benchmark's peer writes what DALL·E mini's decoder here writes."""

from __future__ import annotations

import importlib
from pathlib import Path

import torch

from guidance.models.min_dalle.network import Decoder, Sizes


def test_the_usual_way_gives_the_same_logits(generator, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3])  # benchmarks are in no wheel
    usual = importlib.import_module("benchmarks.dalle_codes").usual
    torch.manual_seed(0)
    decoder = Decoder(Sizes(rows=20, positions=6, width=128, gated=50, layers=2)).double().eval()
    states = torch.randn(3, 5, 128, generator=generator).double()
    codes = torch.randint(20, (3, 6), generator=generator)
    torch.set_default_dtype(torch.float64)
    try:
        wanted = usual(decoder, states, codes)
    finally:
        torch.set_default_dtype(torch.float32)
    told, written = decoder.told(states), decoder.memories(3)
    seen = torch.ones(3, 5, dtype=torch.bool)
    with torch.no_grad():
        for place in range(6):
            logits = decoder.step(codes[:, place], place, told, seen, written)
    torch.testing.assert_close(logits, wanted, rtol=1e-9, atol=1e-9)
