"""Prompts → logits, code by code, of a tiny model in a file."""

from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_dalle import TINY, sentences, write_model
from tiny_vqgan import save

from guidance.errors import FileError, InputError, ModelError
from guidance.models.dalle.load import load_dalle, vqgan_digest
from guidance.models.dalle.names import Facts, check_dalle, dalle_grid, read_facts
from guidance.models.dalle.writer import DalleWriter
from guidance.models.load_latents import load_latents
from guidance.models.writer import write_given


@pytest.fixture
def place(tmp_path, tiny_clip_path):
    write_model(tmp_path, tiny_clip_path)
    return tmp_path


@pytest.fixture
def model(place):
    return load_dalle(str(place / "dalle.safetensors"), device="cpu")


def codes_of(writer: DalleWriter, count: int) -> torch.Tensor:
    return sentences(writer.network, count)[1]


def test_logits_are_those_of_the_network(model):
    writer = model.writer
    assert (writer.grid, writer.codes, model.codec.factor) == ((4, 4), 32, 4)
    codes = codes_of(writer, 2)
    texts = ["a fox", ""]
    told = torch.cat([writer.reader.read(["a fox"])[0].tensors["class_labels"], torch.zeros(1, 64)])
    whole = writer.network(told, codes)
    writing = writer.begin(texts)
    for place in range(16):
        logits = writing.next(codes[:, place - 1] if place else None)
        assert logits.dtype == torch.float32
        torch.testing.assert_close(logits, whole[:, place], rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match="pictures of 16 codes are complete"):
        writing.next(codes[:, -1])


def test_rows_are_kept_and_doubled(model):
    codes = codes_of(model.writer, 3)
    writing = model.writer.begin(["a fox", "a wolf", "the sea"])
    write_given(writing, codes[:, :5])
    rows = torch.tensor([2, 0, 2])
    writing.keep(rows)
    after = writing.next(codes[rows, 5])
    other = model.writer.begin(["the sea", "a fox", "the sea"])
    wanted = write_given(other, codes[rows, :6])
    torch.testing.assert_close(after, wanted)
    assert torch.equal(after[0], after[2])


def test_codes_where_they_belong(model):
    writing = model.writer.begin(["a fox"])
    with pytest.raises(InputError, match="next takes no codes at the beginning"):
        writing.next(torch.zeros(1, dtype=torch.int64))
    writing.next(None)
    with pytest.raises(InputError, match="next takes the codes that were chosen"):
        writing.next(None)
    with pytest.raises(InputError, match=r"codes must have shape \[1\] but has \[2\]"):
        writing.next(torch.zeros(2, dtype=torch.int64))
    for prompts in ([], "a fox"):
        with pytest.raises(InputError, match="prompts must be a list with at least one text"):
            model.writer.begin(prompts)


def test_memory_counts_keys_and_values(model):
    one, two = model.writer.memory(1), model.writer.memory(2)
    assert two == 2 * one
    assert one >= 4 * 2 * 2 * 18 * 16, "of two layers, 18 positions, 16 numbers"


def test_bfloat16_is_near(place, model):
    codes = codes_of(model.writer, 2)[:, :7]
    half = load_dalle(str(place / "dalle.safetensors"), device="cpu", precision="bf16")
    full = write_given(model.writer.begin(["a fox", ""]), codes)
    rough = write_given(half.writer.begin(["a fox", ""]), codes)
    assert rough.dtype == torch.float32
    assert not torch.equal(full, rough)
    assert (full - rough).norm() < 0.1 * full.norm()


def test_facts_are_known_without_weights(place):
    name = str(place / "dalle.safetensors")
    check_dalle(name)
    assert dalle_grid(name).size == (16, 16)
    assert read_facts(place / "dalle.safetensors").config.table() == TINY


def test_names_are_checked(tmp_path):
    with pytest.raises(ModelError, match=r"mini-dalle.safetensors are missing.*--model PATH"):
        check_dalle("mini")
    with pytest.raises(FileError, match=r"the checkpoint none.safetensors does not exist"):
        check_dalle("none.safetensors")
    with pytest.raises(InputError, match=r"unknown DALL·E 'minu'.*mini"):
        check_dalle("minu")
    with pytest.raises(InputError, match=r"holds no DALL·E: neither encoder.pt nor decoder.pt"):
        check_dalle(str(tmp_path))
    check_dalle("kuprel/min-dalle/mini")
    assert dalle_grid("kuprel/min-dalle/mini") is None, "the hub is not asked"


def test_files_of_something_else_are_refused(place):
    file = place / "dalle.safetensors"
    state, facts = load_file(file), read_facts(file)

    def refused(kind: type[Exception], message: str, metadata=None, changed=state) -> None:
        save_file(changed, file, facts.metadata() if metadata is None else metadata)
        with pytest.raises(kind, match=message):
            load_dalle(str(file), device="cpu")

    refused(FileError, "is no file of guidance.train.dalle: its metadata have no config", {})
    table = json.loads(facts.metadata()["guidance"])
    for config, message in (
        ({**TINY, "heads": 3}, "heads must divide the width of 16 but there are 3"),
        ({**TINY, "head": 3}, "unknown option 'head'"),
        ({k: v for k, v in TINY.items() if k != "rows"}, "lacks the option rows"),
        ({**TINY, "rows": "four"}, "rows must be"),
    ):
        refused(FileError, message, {"guidance": json.dumps({**table, "config": config})})
    less = {k: v for k, v in state.items() if k != "blocks.1.narrow.bias"}
    refused(ModelError, r"lacks 1 entry \(blocks.1.narrow.bias\)", changed=less)
    other = Facts(facts.config, facts.clip, facts.vqgan, "0123")
    refused(ModelError, "has learned the codes of another VQGAN than", other.metadata())
    save(place / "large", num_vq_embeddings=40)
    large = Facts(facts.config, facts.clip, str(place / "large"))
    refused(ModelError, "writes 32 codes but its VQGAN .*large has 40", large.metadata())
    latents = load_latents(facts.vqgan, device="cpu")
    right = Facts(facts.config, facts.clip, facts.vqgan, vqgan_digest(latents))
    save_file(state, file, right.metadata())
    load_dalle(str(file), device="cpu")
    file.write_bytes(b"nothing")
    with pytest.raises(FileError, match=r"is no file of guidance.train.dalle"):
        load_dalle(str(file), device="cpu")
