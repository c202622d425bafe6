"""Prompts at a step → what the network is told."""

from __future__ import annotations

import torch
from diffusing import TARGET, finish, make

from guidance.diffusion.conditioning import Conditioning
from guidance.images import to_pil
from guidance.prompts.grammar import parse_prompts


def test_conditioning(models, tmp_path):
    model = models["sd"]
    to_pil(TARGET).save(tmp_path / "photo.png")
    text = f"0-3: a fox:3 | 2-: a wolf | 1-: fog:-2 | {tmp_path}/photo.png"
    conditioning = Conditioning(model, parse_prompts(text))
    fox, wolf, fog = (c.tensors["encoder_hidden_states"] for c in
                      model.condition(["a fox", "a wolf", "fog"]))  # fmt: skip
    empty = model.empty().tensors["encoder_hidden_states"]
    for step, want, opposite in ((0, fox, empty), (1, fox, fog), (2, 0.75 * fox + 0.25 * wolf, fog),
                                 (3, wolf, fog)):  # fmt: skip
        told, untold = (c.tensors["encoder_hidden_states"] for c in conditioning.at(step))
        torch.testing.assert_close(told, want)
        torch.testing.assert_close(untold, opposite)
    pictures_only = Conditioning(model, parse_prompts(str(tmp_path / "photo.png")))
    torch.testing.assert_close(pictures_only.at(0)[0].tensors["encoder_hidden_states"], empty)
    assert Conditioning(models["ddpm"], parse_prompts("a fox")).at(0) == (None, None)


def test_texts_are_read_once(models, monkeypatch):
    model, read = models["sd"], []
    real = model.reader.read
    monkeypatch.setattr(model.reader, "read", lambda texts: read.append(list(texts)) or real(texts))
    finish(make(model, prompt="a fox | a wolf | a fox:2", negative=("fog",), cfg=2.0))
    assert read == [["a fox", "a wolf", "fog"]]
