"""A device without float64, as Macs have: everything that can run there does, with one result."""

from __future__ import annotations

import contextlib
import json
import math
import warnings
from pathlib import Path

import pytest
import tiny_diffusion
import tiny_vqgan
import torch
from pretend import pretended
from torch import nn

import guidance
from guidance.classify.__main__ import main as classify
from guidance.images import to_pil
from guidance.interrogate.__main__ import main as interrogate
from guidance.look.__main__ import main as look
from guidance.pixels import evolve
from guidance.probe.__main__ import main as probe
from guidance.rerank.__main__ import main as rerank

TEXTS = ("--texts", "a fox", "a boat")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Return a folder of two classes with three pictures each."""
    root = tmp_path_factory.mktemp("photos")
    for number in range(6):
        folder = root / ("cat" if number % 2 else "dog")
        folder.mkdir(exist_ok=True)
        draw = torch.Generator().manual_seed(number)
        to_pil(torch.rand(1, 3, 32, 32, generator=draw)).save(folder / f"{number}.png")
    return root


@contextlib.contextmanager
def on(name: str):
    """Pretend that there is a device, unless it is the CPU."""
    if name == "cpu":
        yield
        return
    with warnings.catch_warnings():
        # what PyTorch says of reading numbers out of wrapped tensors
        warnings.filterwarnings("ignore", "Converting a tensor with requires_grad")
        with pretended(name) as device:
            yield device


@pytest.fixture
def mac():
    with on("mps") as device:
        yield device


def test_the_pretended_device_refuses_what_a_mac_refuses(mac):
    x = torch.rand(3, 4, device="mps")
    assert x.device == torch.device("mps", 0)
    for make in (
        x.double,
        lambda: x.to(torch.float64),
        lambda: x.to("cpu", torch.float64),
        lambda: torch.zeros(2, dtype=torch.float64, device="mps"),
        lambda: torch.rand(2).double().to("mps"),
        lambda: torch.tensor([1.0], dtype=torch.float64, device="mps"),
        lambda: torch.linspace(0, 1, 3, dtype=torch.float64, device=x.device),
    ):
        with pytest.raises(TypeError, match="Cannot convert a MPS Tensor to float64"):
            make()
    with pytest.raises(RuntimeError, match="on the same device"):
        x + torch.rand(3, 4)
    with pytest.raises(TypeError, match="can't convert mps:0"):
        x.numpy()
    with pytest.raises(RuntimeError, match="generator"):
        torch.rand(2, generator=torch.Generator(), device="mps")
    assert x.cpu().double().dtype == torch.float64
    assert torch.rand(2, generator=torch.Generator("mps"), device="mps").device == x.device


def test_the_pretended_device_computes_and_is_watched(mac):
    torch.manual_seed(0)
    here, seen = nn.Linear(4, 2), []
    data = torch.rand(3, 4)
    there = nn.Linear(4, 2)
    there.load_state_dict(here.state_dict())
    there.to("mps")
    mac.watch.append(lambda name, out: seen.append(name))
    for layer, x in ((here, data), (there, data.to("mps"))):
        step = torch.optim.Adam(layer.parameters(), lr=0.1)
        layer(x).square().mean().backward()
        step.step()
    assert there.weight.device == there.weight.grad.device == mac.device
    torch.testing.assert_close(there.weight.detach().cpu(), here.weight.detach())
    assert "aten::addmm" in seen


@pytest.mark.parametrize(
    ("command", "arguments"),
    [
        (classify, ("--labels", "a cat", "a dog", "-r")),
        (rerank, ("-p", "a fox | fog:-0.5", "--by", "prompt:1,uniqueness:0.5", "-r")),
        (interrogate, ("-r", "--lists", "{lists}")),
        (look, ("matrix", *TEXTS, "-r", "--values", "probability")),
        (look, ("matrix", *TEXTS, "-r", "--values", "late")),
        (look, ("heat", *TEXTS, "-r", "--method", "patches")),
        (look, ("heat", *TEXTS, "-r", "--method", "gradcam")),
        (look, ("write", *TEXTS, "-r", "--write", "iPod", "--directions", "2")),
    ],
)
def test_commands_that_score(
    command, arguments, photos, tiny_clip_path, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "colours.txt").write_text("in red\nin blue\nin green\n")
    arguments = tuple(a.format(lists=tmp_path / "lists") for a in arguments)
    kind, rest = (arguments[:1], arguments[1:]) if command is look else ((), arguments)
    shown = []
    for device in ("mps", "cpu"):
        options = ("--clip", str(tiny_clip_path), "--device", device, "-q")
        with on(device):
            code = command([*kind, str(photos / "cat"), *options, *rest])
        assert code == 0, capsys.readouterr().err
        shown.append(capsys.readouterr().out)
    assert shown[0] == shown[1]


@pytest.mark.parametrize("method", ["linear", "coop"])
def test_a_probe_is_learned_and_applied(method, photos, tiny_clip_path, tmp_path, capsys):
    head, options = str(tmp_path / "head.safetensors"), ("--clip", str(tiny_clip_path), "-q")
    learn = ("--method", method, "--shots", "none", "--save", head)
    learn += ("--steps", "2") if method == "coop" else ()
    with on("mps"):
        assert probe([str(photos), *learn, *options, "--device", "mps"]) == 0
    found = []
    for device in ("mps", "cpu"):
        file = tmp_path / f"{device}.json"
        apply = ("--apply", head, str(photos), "-r", "--json", str(file))
        with on(device):
            assert probe([*apply, *options, "--device", device]) == 0
        images = json.loads(file.read_text())["images"]
        found.append([p for i in images for p in i["probabilities"].values()])
    assert found[0] == pytest.approx(found[1], abs=1e-4)


def losses(steps) -> list[float]:
    return [step.loss for step in steps]


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (guidance.draw, {"strokes": 3, "size": "32", "text_off": True}),
        (guidance.draw, {"strokes": 3, "size": "32", "closed": True}),
        (evolve, {"size": "32"}),
        (guidance.paint, {"size": "32", "vqgan": "vq"}),
        (guidance.diffuse, {"model": "sd", "number": 1}),
    ],
)
def test_generators(make, options, tiny_clip_path, tmp_path):
    options = {"cuts": 2, "steps": 2, "clip": str(tiny_clip_path), **options}
    for name, save in (("model", tiny_diffusion.save), ("vqgan", tiny_vqgan.save)):
        if name in options:
            options[name] = str(save(tmp_path / "model", options[name]))
    with on("mps"):
        there = losses(make("a fox", device="mps", **options))
    assert all(math.isfinite(loss) for loss in there)
    here = losses(make("a fox", device="cpu", **options))
    assert there == pytest.approx(here, abs=1e-2)
