"""Training a DALL·E: codes, conditions, bits a code, and minute runs that learn."""

from __future__ import annotations

import json
import re

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_codes import OWN, dalle_options, write_codes
from tiny_dalle import TINY

from guidance.command.cli import main
from guidance.errors import FileError, InputError
from guidance.models.dalle.load import load_dalle
from guidance.train.dalle.code_data import CodeData
from guidance.train.dalle.options import DalleTraining
from guidance.train.dalle.trainer import Trainer, train


@pytest.fixture
def place(tmp_path, tiny_clip_path):
    write_codes(tmp_path, tiny_clip_path)
    return tmp_path


def told(said: str) -> list[dict[str, float]]:
    """Return what the lines of a log say of the pictures that were kept back."""
    lines = [line for line in said.splitlines() if "kept back" in line]
    return [
        {name: float(bits) for bits, name in re.findall(r"([0-9.]+) bits ([a-z ]+)", line)}
        for line in lines
    ]


def test_bits_fall_and_the_right_text_saves_some(place, capsys):
    trainer = Trainer(dalle_options(place, steps=120, rate=5e-3, blur=0.0))
    before = trainer.measure()
    assert before["with the text"] == pytest.approx(5, abs=0.2), "of 32 codes, untrained"
    trainer.run()
    (after,) = told(capsys.readouterr().out)
    # a row begins with one of two codes and repeats it: a quarter of a bit is needed
    assert after["with the text"] < 0.6
    assert after["with text and picture"] < 0.6
    assert after["with a wrong text"] > after["with the text"] + 0.15
    assert after["with nothing"] > after["with the text"] + 0.03
    model = load_dalle(str(place / "run/dalle.safetensors"), device="cpu")
    chances = model.writer.begin(["red", "blue"]).next(None).softmax(1)
    for row, own in zip(chances, OWN, strict=True):
        assert row[list(own)].sum() > 0.8, "it writes what belongs to the text"


@pytest.mark.parametrize("layers", [["row", "column"], ["convolutional", "full"]], ids=str)
def test_sparse_attention_learns_too(place, layers):
    (place / "tiny.json").write_text(json.dumps({**TINY, "attention": layers}))
    trainer = Trainer(dalle_options(place, steps=60, rate=5e-3, blur=0.0))
    before = trainer.measure()["with the text"]
    trainer.run()
    assert trainer.measure()["with the text"] < 0.4 * before


def test_a_resumed_run_is_the_uninterrupted_one(place):
    train(dalle_options(place, "whole"))
    first = Trainer(dalle_options(place, "parts"))
    for views, _ in zip(first.batches(0), range(3), strict=False):
        first.train_step(views, first.clock.done())
    first.save()
    train(dalle_options(place, "parts", resume=True))
    whole, parts = (load_file(place / n / "dalle.safetensors") for n in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        assert torch.equal(value, parts[key]), key


def test_threads_and_bfloat16_learn_alike(place):
    one = Trainer(dalle_options(place, "one"))
    two = Trainer(dalle_options(place, "two", threads=2, precision="bf16"))
    views = one.data.batch(16, (0, 0))
    found = [trainer.gradients(views, 0.0)["bits"] for trainer in (one, two)]
    assert found[0] == pytest.approx(found[1], rel=1e-2)
    pairs = zip(one.network.parameters(), two.network.parameters(), strict=True)
    norm = sum(float(a.grad.norm() ** 2) for a in one.network.parameters()) ** 0.5
    off = sum(float((a.grad - b.grad).norm() ** 2) for a, b in pairs) ** 0.5
    assert off < 0.05 * norm


def test_a_run_starts_from_another_ones_average(place):
    train(dalle_options(place, "first"))
    wanted = load_file(place / "first/dalle.safetensors")
    for name in ("state.pt", "dalle.safetensors"):
        begun = Trainer(dalle_options(place, name, init=place / "first" / name))
        assert all(torch.equal(v, wanted[k]) for k, v in begun.network.state_dict().items())
    (place / "tiny.json").write_text(json.dumps({**TINY, "width": 8}))
    with pytest.raises(FileError, match="holds no weights of this transformer: it has"):
        Trainer(dalle_options(place, "other", init=place / "first/state.pt"))


def test_pictures_are_kept_back(place):
    data = CodeData([place / "codes.safetensors"], 1000)
    assert len(data.back) == 4, "a tenth at most"
    drawn, _ = data.draw(2000, (0, 0))
    assert not torch.isin(drawn, data.back).any()
    assert len(drawn.unique()) == 36
    again = CodeData([place / "codes.safetensors"], 3)
    assert torch.equal(again.back, data.back[torch.isin(data.back, again.back)])
    assert len(CodeData([place / "codes.safetensors"], 0).back) == 0
    views, wrong = data.kept_back()
    assert ((views.texts - wrong).norm(dim=1) > 0.1).all()


def test_data_that_do_not_fit(place):
    (place / "tiny.json").write_text(json.dumps({**TINY, "rows": 5}))
    with pytest.raises(InputError, match=r"pictures of 4 x 4 codes .* is for 5 x 4 and 32"):
        Trainer(dalle_options(place))
    (place / "tiny.json").write_text(json.dumps({**TINY, "codes": 20}))
    with pytest.raises(InputError, match="there is a code 21, but --config is for 20 codes"):
        Trainer(dalle_options(place))
    file = place / "codes.safetensors"
    content = load_file(file)
    content["latents"] = content.pop("codes")
    save_file(content, file)
    with pytest.raises(FileError, match="holds no codes; it must be prepared with --codes"):
        Trainer(dalle_options(place))


@pytest.mark.parametrize(
    ("more", "message"),
    [({"single": 0.95}, "single"), ({"drop": 2}, "drop"), ({"kept": -1}, "kept"),
     ({"decay": 2}, "decay"), ({"batch": 0}, "batch")],
)  # fmt: skip
def test_options_are_checked(place, more, message):
    with pytest.raises(InputError, match=message):
        dalle_options(place, **more).check()


def test_configs_are_checked(place):
    (place / "tiny.json").write_text(json.dumps({**TINY, "heads": 3}))
    with pytest.raises(InputError, match="heads must divide the width of 16 but there are 3"):
        dalle_options(place).check()
    (place / "tiny.json").write_text(json.dumps({**TINY, "head": 3}))
    with pytest.raises(InputError, match=r"config .*tiny.json: unknown option 'head'"):
        dalle_options(place).check()


def test_command(place, capsys):
    arguments = ["--data", str(place / "codes.safetensors"), "--out", str(place / "run")]
    more = ["--config", str(place / "tiny.json"), "--steps", "2", "--minutes", "0"]
    assert main(DalleTraining, train, prog="x", argv=[*arguments, *more]) == 0
    said = capsys.readouterr().out
    assert re.match(r"2  kept back: [0-9.]+ bits with the text, ", said)
    assert said.endswith(f"wrote {place / 'run' / 'dalle.safetensors'} after 2 steps\n")
    arguments[1] = str(place / "none.safetensors")
    assert main(DalleTraining, train, prog="x", argv=[*arguments, *more]) == 2
    assert "none.safetensors does not exist" in capsys.readouterr().err
