"""``python -m guidance.look``, from its arguments to exit code, output and files."""

import csv
import json
import subprocess
import sys

import numpy as np
import pytest
import skimage.data
import torch
from calling import calling
from PIL import Image
from tiny_clip import build_tiny

from guidance.clip.scorer import ClipScorer
from guidance.look import draw
from guidance.look.__main__ import main as command
from guidance.look.options import MOST_DIRECTIONS
from guidance.objective.text_off import WORDS, write_on

TEXTS = ("--texts", "a fox", "a boat")


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("chelsea", "coffee", "rocket"):
        image = Image.fromarray(getattr(skimage.data, name)())
        image.resize((90, 60)).save(folder / f"{name}.png")
    return folder


@pytest.fixture
def call(tiny_clip_path, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return calling(command, capsys, "--clip", tiny_clip_path, "--device", "cpu", after=1)


def size_of(path):
    with Image.open(path) as image:
        return image.size


@pytest.mark.parametrize("values", ["cosine", "probability", "late"])
def test_matrix(call, photos, tmp_path, tiny_clip, values):
    out = tmp_path / "m.png"
    code, shown, err = call(
        "matrix", photos, *TEXTS, "--values", values, "-o", out, "--csv", tmp_path / "m.csv"
    )
    assert code == 0
    assert f"wrote {out}, {tmp_path / 'm.csv'}" in err
    assert "chelsea.png" in shown
    with (tmp_path / "m.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == ["file", "a fox", "a boat"]
    names = ("chelsea", "coffee", "rocket")
    assert [r[0] for r in rows] == [str(photos / f"{n}.png") for n in names]
    found = torch.tensor([[float(v) for v in r[1:]] for r in rows])
    scorer = ClipScorer([tiny_clip])
    files = [r[0] for r in rows]
    if values == "cosine":
        want = scorer.similarity(files, ["a fox", "a boat"])
    elif values == "probability":
        want = scorer.probabilities(files, ["a fox", "a boat"])
    else:
        from guidance.score.late_interaction import LateScorer

        want = LateScorer(scorer).similarity(files, ["a fox", "a boat"])
    torch.testing.assert_close(found, want, atol=2e-6, rtol=0)
    assert size_of(out)[0] > 3 * draw.CELL


def test_the_colours_of_a_matrix_are_its_values():
    values = np.array([[0.1, 0.9], [0.5, 0.1], [0.9, 0.1]])
    images = [Image.new("RGB", (40, 30), c) for c in ("red", "lime", "blue")]
    picture = draw.matrix(values, images, ["a", "a longer text"])
    step = draw.CELL + draw.GAP
    left = picture.width - draw.PAD - 3 * step
    for column in range(3):
        for row in range(2):
            corner = (left + column * step + 2, draw.PAD + step * (row + 1) + 2)
            want = draw.colours(np.array((values[column, row] - 0.1) / 0.8))
            assert picture.getpixel(corner) == tuple(want)
        middle = (left + column * step + draw.CELL // 2, draw.PAD + draw.CELL - 5)
        assert picture.getpixel(middle) == images[column].getpixel((0, 0))


def test_lightness_rises_with_the_value():
    light = draw.colours(np.linspace(0, 1, 50)) @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(light) > 0).all()
    assert draw.colours(np.array([-1, 2, np.nan])).tolist() == [
        [28, 10, 60],
        [250, 235, 130],
        [28, 10, 60],
    ]


def test_overlay_is_bright_where_it_is_hot():
    photo = Image.fromarray(skimage.data.chelsea()).resize((90, 60))
    heat = np.zeros((4, 6))
    heat[:, 3:] = 1
    mixed = np.asarray(draw.overlay(photo, heat, 0, 1).convert("L")).astype(float)
    plain = np.asarray(photo.convert("L")).astype(float)
    assert (mixed - plain)[:, 60:].mean() > (mixed - plain)[:, :30].mean() + 30


@pytest.mark.parametrize("method", ["auto", "gradcam", "windows"])
def test_heat(call, photos, tmp_path, method):
    code, _, err = call("heat", photos, *TEXTS, "--method", method, "--against", "a photo")
    assert code == 0
    assert err == "wrote heat.png\n"
    assert size_of(tmp_path / "heat.png")[0] == 4 * draw.PAD + 3 * 90


def test_write(call, photos, tmp_path, tiny_clip):
    arguments = (photos / "chelsea.png", *TEXTS, "--write", "iPod", "--json", tmp_path / "w.json")
    code, shown, _ = call("write", *arguments)
    assert code == 0
    assert "with “iPod”" in shown
    found = json.loads((tmp_path / "w.json").read_text())["images"][0]["probabilities"]
    assert list(found) == ["before", "with “iPod”", "with it, text off"]
    want = ClipScorer([tiny_clip]).probabilities([photos / "chelsea.png"], ["a fox", "a boat"])
    assert found["before"] == pytest.approx(want[0].tolist(), abs=1e-5)
    assert found["before"] != pytest.approx(found["with “iPod”"], abs=1e-6)
    with Image.open(photos / "chelsea.png") as image:
        pair = ClipScorer([tiny_clip]).encode_image([image, write_on(image, "iPod")])
    assert f"it moves the picture to a cosine of {(pair[0] @ pair[1]).item():.3f}, text" in shown
    code, shown, _ = call("write", *arguments, "--directions", 0)
    assert code == 0
    assert "text off" not in shown
    code, _, _ = call("write", *arguments, "--plain", photos / "coffee.png", photos / "rocket.png")
    assert code == 0


def test_a_sigmoid_model_judges_texts_alone(call, photos, tmp_path):
    model = build_tiny(tmp_path / "sigmoid", bias=-1.5)
    want = ClipScorer(str(model), device="cpu").probabilities([photos / "chelsea.png"], ["a fox"])
    arguments = (photos / "chelsea.png", "-t", "a fox", "--clip", model)
    written = ("--write", "iPod", "--directions", 0, "--json", tmp_path / "w.json")
    assert call("write", *arguments, *written)[0] == 0
    found = json.loads((tmp_path / "w.json").read_text())["images"][0]["probabilities"]
    assert found["before"] == pytest.approx(want[0].tolist(), abs=1e-5)
    assert call("write", *arguments, *written, "--softmax")[0] == 2
    table = ("--values", "probability", "--csv", tmp_path / "m.csv")
    assert call("matrix", *arguments, *table)[0] == 0
    assert float((tmp_path / "m.csv").read_text().split(",")[-1]) == pytest.approx(
        want.item(), abs=1e-5
    )


def test_texts_from_a_file(call, photos, tmp_path):
    (tmp_path / "t.txt").write_text("# two\na fox\na wolf\n")
    code, shown, _ = call("matrix", photos, "-t", "a fox", "--texts-file", tmp_path / "t.txt")
    assert code == 0
    assert shown.splitlines()[0].endswith("  a fox  a wolf")


def test_video(call, tmp_path):
    frames = [Image.new("RGB", (64, 48), c) for c in ("red", "lime", "blue")]
    frames[0].save(
        tmp_path / "a.gif", save_all=True, append_images=frames[1:], duration=[300, 600, 500]
    )
    code, shown, err = call("video", tmp_path / "a.gif", *TEXTS, "--csv", tmp_path / "v.csv")
    assert code == 0
    assert shown.startswith("3 frames")
    assert err == f"wrote video.png, {tmp_path / 'v.csv'}\n"
    with (tmp_path / "v.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["second"] for r in rows] == ["0.000", "0.300", "0.900"]
    mean = np.mean([float(r["a fox"]) for r in rows])
    assert f"{mean:.4f}" in shown.splitlines()[1]
    assert size_of(tmp_path / "video.png") == (800, 500)


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("matrix", "{photos}"), "texts are needed: --texts"),
        (("matrix", *TEXTS), "images or folders are needed, as in: look matrix"),
        (("matrix", "{photos}", "--texts", " "), "a text must not be empty"),
        (("heat", "{photos}", "--texts", "a", "\u200b"), "only invisible characters (U+200B)"),
        (("matrix", "{photos}", *TEXTS, "-o", "m.gif"), "unknown suffix '.gif'"),
        (("matrix", "{photos}", *TEXTS, "--csv", "none/m.csv"), "the folder none does not exist"),
        (("heat", "{photos}", *TEXTS, "--zoom", "0"), "zoom must be at least 1"),
        (("heat", "{photos}", *TEXTS, "--strength", "2"), "strength must be at least 0"),
        (("heat", "{photos}/coffee.png", *TEXTS, "-o", "{photos}/coffee.png"), "would overwrite"),
        (("heat", "{photos}", *TEXTS, "--method", "gradcan"), "gradcan"),
        (("write", "{photos}", *TEXTS), "a word is needed"),
        (("write", "{photos}", "-t", "a", "--write", "b"), "texts must be two or more"),
        (("write", "{photos}", *TEXTS, "--write", "b", "--directions", "99"), "at most 32"),
        (("video", "{photos}/coffee.png", "{photos}", *TEXTS), "one video is needed"),
        (("video", "{photos}/coffee.png", *TEXTS, "--fps", "0"), "fps must be greater than 0"),
        (("video", "{photos}/cofee.png", *TEXTS), "does not exist; did you mean coffee.png"),
    ],
)
def test_mistakes_are_found_before_any_work(call, photos, argv, message, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("guidance.clip.registry.load_network", refuse)
    code, out, err = call(*(a.format(photos=photos) for a in argv))
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(p.name for p in photos.parent.iterdir()) == ["photos"]


def test_there_are_as_many_directions_as_words():
    assert len(WORDS) == MOST_DIRECTIONS


def test_kinds_are_listed_and_an_unknown_one_is_named(capsys):
    assert command(["--help"]) == 0
    shown = capsys.readouterr().out
    for kind in ("matrix", "heat", "write", "video"):
        assert f"  {kind} " in shown
    assert command([]) == 2
    assert command(["haet", "a.png"]) == 2
    assert "unknown kind 'haet'; did you mean heat" in capsys.readouterr().err


def test_help_needs_no_torch():
    """A usage error or --help should be instant."""
    script = (
        "import sys; from guidance.look.__main__ import main as command; "
        "assert command(['heat', '--help']) == 0; assert command(['matrix']) == 2; "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
