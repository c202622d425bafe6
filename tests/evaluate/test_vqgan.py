"""``python -m guidance.evaluate vqgan``: figures with known values, on a tiny real VQGAN."""

import json
import math
import shlex
from pathlib import Path

import pytest
import torch
from diffusers import VQModel
from pages import commands
from PIL import Image

from guidance.command.cli import main
from guidance.evaluate.vqgan import compare, run
from guidance.evaluate.vqgan_options import VqganEvaluation


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A working directory with ``photos/`` and a tiny VQGAN in ``tiny/``."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    VQModel(
        down_block_types=["DownEncoderBlock2D"] * 2, up_block_types=["UpDecoderBlock2D"] * 2,
        block_out_channels=[8, 8], norm_num_groups=4, latent_channels=3, vq_embed_dim=3,
        num_vq_embeddings=16, mid_block_add_attention=False,
    ).save_pretrained("tiny")  # fmt: skip
    (tmp_path / "photos").mkdir()
    lines = ["image,caption"]
    for number, size in enumerate([(31, 24), (24, 40), (8, 8)]):
        Image.effect_noise(size, 60).convert("RGB").save(f"photos/{number}.png")
        lines.append(f"{number}.png,noise")
    (tmp_path / "photos/captions.csv").write_text("\n".join(lines))
    return tmp_path


def evaluate(*arguments: str) -> int:
    return main(VqganEvaluation, run, prog="evaluate", argv=arguments)


def test_figures(place, capsys):
    code = evaluate("--vqgan", "tiny", "--data", "photos", "--judge", "none", "-q",
                    "--json", "f.json", "--sheet", "s.png")  # fmt: skip
    assert code == 0
    figures = json.loads((place / "f.json").read_text())["reconstruction"]["photos"]
    assert figures["pictures"] == 2  # the third is too small
    assert 0 < figures["PSNR"] < 40
    assert -1 <= figures["SSIM"] <= 1
    assert 1 <= figures["codes used"] <= 16
    assert "PSNR" in capsys.readouterr().out
    with Image.open("s.png") as sheet:
        assert sheet.width > 4 * 144


@pytest.mark.parametrize("captioned", [True, False])
def test_command_of_the_pages(place, monkeypatch, captioned):
    """A folder of pictures needs no captions."""
    if not captioned:
        Path("photos/captions.csv").unlink()
        Path("photos/.ipynb_checkpoints").mkdir()
        Path("photos/.ipynb_checkpoints/0.png").write_bytes(b"no picture")
    (command,) = commands("guidance.evaluate vqgan")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)  # no judge is installed
    assert evaluate(*shlex.split(command), "-q") == 0
    assert (place / "pairs.png").exists()


def test_known_values(generator):
    image = torch.rand(1, 3, 32, 32, generator=generator) / 2
    said = compare(image, image + 0.1)
    assert said["PSNR"] == pytest.approx(20, abs=1e-3)
    assert 0.5 < said["SSIM"] < 1
    assert compare(image, image)["SSIM"] == pytest.approx(1)
    assert compare(image, image)["PSNR"] == pytest.approx(100)
    noisy = compare(image, torch.rand(image.shape, generator=generator))
    assert noisy["SSIM"] < 0.2
    assert math.isclose(noisy["PSNR"], -10 * math.log10(1 / 12 + 1 / 48 + 1 / 16), abs_tol=1.5)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--data", "nothing*"], "nothing matches 'nothing*'"),
        (["--data", "photos", "--vqgan", "missing.ckpt"], "missing.ckpt"),
        (["--data", "photos", "--judge", "efficientnet-lite9"], "efficientnet-lite"),
        (["--data", "photos", "--limit", "0"], "limit must be at least 1"),
        (["--data", "photos", "--json", "no/f.json"], "the folder no does not exist"),
    ],
)
def test_bad_input(place, arguments, said, capsys):
    assert evaluate(*arguments) == 2
    assert said in capsys.readouterr().err
