"""The head's regression beside brute force, and the command on real photos."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
import torch
from PIL import Image, ImageFilter
from tiny_clip import unit

from guidance.command.cli import main
from guidance.score.aesthetic import load_head
from guidance.train.aesthetic.ridge import AestheticOptions, fit_ridge, read_ratings, train


def call(*argv: object) -> int:
    return main(
        AestheticOptions, train, prog="python -m guidance.train.aesthetic", argv=[*map(str, argv)]
    )


def test_the_penalty_has_the_least_error_of_leaving_one_out():
    generator = torch.Generator().manual_seed(0)
    x = unit(25, 6).double()
    y = x @ torch.tensor([2.0, -1, 0, 0, 0.5, 0], dtype=torch.float64) + 5
    y = y + 0.3 * torch.randn(25, generator=generator, dtype=torch.float64)
    one = torch.eye(6, dtype=torch.float64)
    fit = fit_ridge(x, y)

    def left_out(penalty: float) -> float:
        errors = []
        for i in range(25):
            keep = torch.arange(25) != i
            mean, middle = x[keep].mean(0), y[keep].mean()
            a = x[keep] - mean
            w = torch.linalg.solve(a.T @ a + penalty * one, a.T @ (y[keep] - middle))
            errors.append(y[i] - middle - (x[i] - mean) @ w)
        return float(torch.stack(errors).square().mean().sqrt())

    assert fit.error == pytest.approx(left_out(fit.penalty), rel=1e-9)
    for factor in (0.1, 0.5, 2, 10):
        assert left_out(fit.penalty * factor) > fit.error
    a = x - x.mean(0)
    w = torch.linalg.solve(a.T @ a + fit.penalty * one, a.T @ (y - y.mean()))
    torch.testing.assert_close(fit.weight, w)
    assert fit.bias == pytest.approx(float(y.mean() - x.mean(0) @ w))


def test_noise_teaches_the_mean_and_rules_are_found_with_few_pictures():
    generator = torch.Generator().manual_seed(1)
    x = unit(80, 200)  # more numbers than pictures
    noise = torch.randn(80, generator=generator, dtype=torch.float64)
    flat = fit_ridge(x, noise + 4)
    assert float(flat(x).std()) < 0.35 * float(noise.std())
    assert float(flat(x).mean()) == pytest.approx(float(noise.mean()) + 4, abs=1e-6)
    rule = fit_ridge(x, x[:, 0].double() * 10)
    assert rule.penalty < flat.penalty


@pytest.fixture(scope="module")
def rated(tmp_path_factory) -> Path:
    """Return a folder of crops of photos, sharp ones rated high and blurred ones low."""
    data = pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("rated")
    rows = []
    for name in ("astronaut", "coffee", "chelsea", "rocket"):
        photo = Image.fromarray(getattr(data, name)())
        for n in range(10):
            left, top = (n * 37) % (photo.width - 200), (n * 61) % (photo.height - 200)
            crop = photo.crop((left, top, left + 200, top + 200))
            blur = n % 5
            file = f"{name}-{n}.jpg"
            crop.filter(ImageFilter.GaussianBlur(blur * 2)).save(folder / file)
            rows.append((file, 10 - 2 * blur))
    with (folder / "ratings.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "rating"), *rows])
    return folder


def test_a_head_learns_sharpness_from_photos(rated, tmp_path, capsys):
    out = tmp_path / "head.safetensors"
    assert call("--data", rated, "--out", out, "--device", "cpu", "--quiet") == 0
    printed = capsys.readouterr().out
    assert "40 pictures; correlation with 8 held-out ratings: 0.9" in printed
    head = load_head(out)
    assert head.clip == "mini"
    from guidance import ClipScorer

    scorer = ClipScorer("mini", device="cpu")
    assert head.fingerprint == scorer.fingerprint
    data = pytest.importorskip("skimage.data")
    sharp = Image.fromarray(data.camera()).convert("RGB")  # a photo it has not seen, and in grey
    sharp = sharp.crop((150, 50, 350, 250))
    blurred = sharp.filter(ImageFilter.GaussianBlur(8))
    first, second = head(scorer.encode_image([sharp, blurred])).tolist()
    assert first > second + 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "does not exist; it has the columns image and rating"),
        ("image,ratng\n", "lacks a column: unknown column 'rating'; did you mean ratng?"),
        ("image,rating\na.png,good\n", "line 2: the rating must be a number but is 'good'"),
        ("image,rating\na.png\n", "line 2: the rating must be a number but is None"),
        ("image,rating\na.png,nan\n", "must be a number but is 'nan'"),
        ("image,rating\nb.png,1\n", "line 2: the picture 'b.png' does not exist"),
        ("image,rating\na.png,1\n", "rates 1 picture; at least 10 are needed"),
        ("image,rating\n" + "a.png,1\n" * 12, "all ratings are 1, so there is nothing to learn"),
        ("imäge\n", "it is not UTF-8"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path, capsys, text, message):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    if text is not None:
        (tmp_path / "ratings.csv").write_text(text, encoding="latin-1")
    out = tmp_path / "head.safetensors"
    assert call("--data", tmp_path, "--out", out) == 2
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_options_are_checked_first(tmp_path, capsys):
    for extra, message in {
        ("--out", "head.pth"): "written as .safetensors",
        ("--out", "h.safetensors", "--held-out", "0.9"): "held-out must be at least 0.05",
        ("--out", "h.safetensors", "--seed", "-1"): "",
    }.items():
        assert call("--data", tmp_path, *extra) == 2
        assert message in capsys.readouterr().err


def test_a_table_of_other_programs_may_have_more_columns(tmp_path):
    for n in range(10):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{n}.png")
    rows = "".join(f"x,{n}.png,{n / 2}\r\n" for n in range(10))
    (tmp_path / "ratings.csv").write_text("\ufeffnote,image,rating\r\n" + rows, encoding="utf-8")
    files, ratings = read_ratings(tmp_path)
    assert [f.name for f in files] == [f"{n}.png" for n in range(10)]
    assert ratings.tolist() == [n / 2 for n in range(10)]
