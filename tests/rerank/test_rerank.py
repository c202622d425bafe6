"""The command, from its arguments to exit code, output and files."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from calling import calling
from picture_files import bomb, half
from PIL import Image
from systems import posix

from guidance.artefacts.sheet import SHEET_IMAGES
from guidance.rerank.__main__ import main as command
from guidance.score.ranking import rank

NAMES = ("a.png", "b.jpg", "c.webp", "d.png", "e.jpg")


@pytest.fixture
def photos(tmp_path) -> Path:
    """Return a folder of five pictures and a text file."""
    folder = tmp_path / "photos"
    folder.mkdir()
    random = np.random.default_rng(3)
    for name in NAMES:
        coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((60, 48), Image.Resampling.BICUBIC).save(folder / name)
    (folder / "notes.txt").write_text("not an image")
    return folder


@pytest.fixture
def call(tiny_clip_path, capsys):
    return calling(command, capsys, "--clip", tiny_clip_path, "--device", "cpu")


def damage(folder: Path) -> dict[str, str]:
    """Add files of every unreadable kind; return the reason expected for each."""
    (folder / "empty.png").touch()
    (folder / "text.png").write_text("no")
    bomb(folder / "bomb.png")
    half(Path(Image.new("RGB", (40, 40), "red").save(folder / "half.png") or folder / "half.png"))
    Image.new("RGB", (400, 2)).save(folder / "thin.png")
    (folder / "broken.png").symlink_to("nowhere")
    return {
        "empty.png": "is empty",
        "text.png": "is not an image of a known format",
        "bomb.png": "has more than 100,000,000 pixels",
        "half.png": "cannot be read: ",
        "thin.png": "is too narrow: its sides are 2 and 400 pixels",
        "broken.png": "does not exist",
    }


def test_the_table_is_the_ranking(call, photos, tiny_clip_path):
    ranking = rank([photos / n for n in NAMES], "a fox", clip=str(tiny_clip_path))
    code, out, err = call("a fox", photos, "--top", 3)
    expected = ["rank    score  file"]
    expected += [f"{r.rank:>4}  {r.score:>7.4f}  {r.source}" for r in ranking[:3]]
    assert (code, out) == (0, "\n".join(expected) + "\n")
    assert err == "passed over 1 file that is no image: 1 .txt\n"
    assert call("a fox", photos, "-q")[2] == ""
    assert call("a fox", photos, "-t", 0)[1].count("\n") == 6


def test_options_and_paths_may_be_mixed(call, photos):
    code, out, _ = call("a fox", photos / "a.png", "-f", photos / "b.jpg", "-q", photos / "a.png")
    assert code == 0
    assert sorted(out.splitlines()) == [str(photos / "a.png"), str(photos / "b.jpg")]


def test_csv_and_json_hold_everything(call, photos, tmp_path):
    reasons = damage(photos)
    prompts = ("--prompt", "a fox:2", "-p", "a wolf, at night", "--negative", "fog:0.5")
    files = ("--csv", tmp_path / "r.csv", "--json", tmp_path / "r.json")
    code, _, err = call(photos, *prompts, *files, "--top", 1)
    assert code == 0
    assert f"wrote {tmp_path / 'r.csv'}, {tmp_path / 'r.json'}" in err
    with (tmp_path / "r.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    titles = ["a fox:2", "a wolf, at night", "fog:-0.5"]
    assert list(rows[0]) == ["rank", "score", "file", *titles]
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    for row in rows:
        fox, wolf, fog = (float(row[t]) for t in titles)
        assert float(row["score"]) == pytest.approx((2 * fox + wolf - 0.5 * fog) / 3.5, abs=2e-6)
    content = json.loads((tmp_path / "r.json").read_text())
    assert [r["file"] for r in content["ranking"]] == [row["file"] for row in rows]
    assert [p["weight"] for p in content["prompts"]] == [2, 1, -0.5]
    assert {Path(s["file"]).name for s in content["skipped"]} == set(reasons)


def test_a_ranking_for_each_prompt(call, photos, tmp_path, tiny_clip_path):
    (tmp_path / "prompts.txt").write_text("# two\na fox\na wolf:2\n")
    _, out, _ = call(photos, "--prompts-file", tmp_path / "prompts.txt", "--per-prompt", "-t", 2)
    assert out.count("rank    score  file") == 2
    assert out.startswith("a fox\nrank")
    assert "\n\na wolf:2\nrank" in out
    ranking = rank([photos / n for n in NAMES], "a wolf", clip=str(tiny_clip_path))
    assert f"   1  {ranking[0].score:>7.4f}  {ranking[0].source}" in out.split("a wolf:2")[1]


def test_unreadable_files_are_listed_at_the_end(call, photos):
    reasons = damage(photos)
    code, out, err = call("a fox", photos)
    assert code == 0
    assert out.count("\n") == 6
    lines = err.splitlines()
    assert lines.pop(0) == "passed over 1 file that is no image: 1 .txt"
    assert lines[0] == "skipped 6 of 11 files:"
    for name, reason in reasons.items():
        assert any(x.startswith(f"  {photos / name} {reason}") for x in lines), name
    assert call("a fox", photos, "--strict")[0] == 1
    assert call("a fox", photos, "--quiet")[2] == ""


def test_nothing_readable_is_an_error(call, tmp_path):
    (tmp_path / "x.png").write_text("no")
    code, out, err = call("a fox", tmp_path)
    assert (code, out) == (2, "")
    assert err == (
        "guidance.rerank: error: none of 1 file can be ranked; the first: "
        f"{tmp_path / 'x.png'} is not an image of a known format\n"
    )


def test_the_contact_sheet(call, photos, tmp_path):
    code, _, _ = call("a fox", photos, "--sheet", tmp_path / "best.png", "--top", 4)
    assert code == 0
    with Image.open(tmp_path / "best.png") as sheet:
        assert sheet.size[0] > 2 * 96
        colours = sheet.convert("RGB").getcolors(maxcolors=2**24)
    assert len(colours) > 500  # photos, not an empty page
    # a sheet inside the folder is neither ranked nor kept by later runs; other images are
    for _ in range(2):
        code, out, _ = call("a fox", photos, "--sheet", photos / "sheet.jpg", "--top", 0)
        assert code == 0
        assert "sheet.jpg" not in out
    before = (photos / "a.png").read_bytes()
    code, _, err = call("a fox", photos, "--sheet", photos / "a.png")
    assert code == 2
    assert err == f"guidance.rerank: error: --sheet would overwrite the image {photos / 'a.png'}\n"
    assert (photos / "a.png").read_bytes() == before


def test_a_sheet_shows_no_more_than_can_be_seen(call, tmp_path):
    folder = tmp_path / "many"
    folder.mkdir()
    for number in range(SHEET_IMAGES + 5):
        Image.new("RGB", (4, 4), (number % 256, 0, 0)).save(folder / f"{number}.bmp")
    code, _, err = call("a fox", folder, "--sheet", tmp_path / "s.webp", "--top", 0)
    assert code == 0
    assert f"(the first {SHEET_IMAGES})" in err


def test_copies_are_named_by_rank_and_never_overwrite(call, photos, tmp_path):
    (photos / "sub").mkdir()
    (photos / "sub" / "a.png").write_bytes((photos / "b.jpg").read_bytes())
    arguments = ("a fox", photos, "-r", "--copy-to", photos / "best", "--top", 3)
    assert call(*arguments)[0] == 0
    first = sorted(os.listdir(photos / "best"))
    assert len(first) == 3
    for place, name in enumerate(first, 1):
        assert re.fullmatch(rf"{place:02}_-?0\.\d\d\d_[a-e]\.(png|jpg|webp)", name)
        source = photos / name.split("_")[-1]
        copies = [source, photos / "sub" / source.name]
        data = (photos / "best" / name).read_bytes()
        assert any(c.exists() and c.read_bytes() == data for c in copies)
    assert call(*arguments)[0] == 0  # the copies are not ranked, and not copied again
    assert sorted(os.listdir(photos / "best")) == first
    (photos / "best" / first[0]).write_bytes(b"mine")
    assert call(*arguments)[0] == 0
    assert (photos / "best" / first[0]).read_bytes() == b"mine"
    assert len(os.listdir(photos / "best")) == 4
    code, _, err = call("a fox", photos, "--copy-to", photos)
    assert code == 2
    assert "--copy-to must not be a folder that is ranked" in err


def test_strange_names_are_printed_copied_and_listed(call, photos, tmp_path):
    data = (photos / "a.png").read_bytes()
    strange = [b"new\nline.png", "狐 🦊.png".encode(), b"caf\xe9.png", b"n" * 250 + b".png"]
    folder = tmp_path / "strange"
    folder.mkdir()
    for name in strange:
        Path(os.fsdecode(os.path.join(os.fsencode(folder), name))).write_bytes(data)
    code, out, _ = call(
        "a fox", folder, "--copy-to", tmp_path / "best", "--csv", tmp_path / "r.csv",
        "--json", tmp_path / "r.json",
    )  # fmt: skip
    assert code == 0
    assert len(out.splitlines()) == 5
    for shown in ("new\\nline.png", "caf\\xe9.png", "狐 🦊.png"):
        assert shown in out
    assert len(os.listdir(tmp_path / "best")) == 4
    assert b"caf\xe9.png" in (tmp_path / "r.csv").read_bytes()
    listed = {r["file"] for r in json.loads((tmp_path / "r.json").read_text())["ranking"]}
    assert str(folder / "new\nline.png") in listed


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("a fox", "{photos}", "--csv", "r.txt"), "unknown suffix '.txt'"),
        (("a fox", "{photos}", "--sheet", "s.gif"), "unknown suffix '.gif'"),
        (("a fox", "{photos}", "--sheet", "none/s.png"), "--sheet: the folder none does not"),
        (("a fox", "{photos}", "--copy-to", "{photos}/a.png"), "is a file, not a folder"),
        (("a fox", "{photos}/a.png", "--sheet", "{photos}/a.png"), "would overwrite the image"),
        (("a fox", "{photos}", "--top", "-1"), "top must be at least 0"),
        (("a fox", "{photos}", "--batch", "0"), "batch must be at least 1"),
        (("a fox", "{photos}", "--workers", "-2"), "workers must be at least 0"),
        (("a fox", "{photos}s"), "photoss does not exist; did you mean photos?"),
        (("a fox",), "images or folders are needed after the prompt"),
        (("{photos}", "{photos}"), "the prompt comes before the images"),
        (("0: a fox | 9: a wolf", "{photos}"), "a schedule cannot be used"),
        (("a fox", "{photos}", "--precision", "fp8"), "fp8"),
        (("a fox", "{photos}", "--tpo", "3"), "--top"),
    ],
)
def test_mistakes_are_found_before_any_work(call, photos, monkeypatch, argv, message):
    monkeypatch.chdir(photos.parent)
    code, out, err = call(*(a.format(photos=photos) for a in argv))
    assert (code, out) == (2, "")
    assert message in err
    assert sorted(os.listdir(photos.parent)) == ["photos"]


def test_two_outputs_need_two_places(call, photos, tmp_path, monkeypatch):
    (tmp_path / "link.json").symlink_to("r.csv")
    code, _, err = call(
        "a fox", photos, "--csv", tmp_path / "r.csv", "--json", tmp_path / "link.json"
    )
    assert code == 2
    assert "--json must not be a file that is written already" in err


@posix
def test_interrupted_while_scoring(photos, tiny_clip_path, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (1024, 1024, 3), np.uint8)
    Image.fromarray(pixels).save(photos / "slow.png")  # a minute's work in all
    for number in range(2000):
        os.link(photos / "slow.png", photos / f"{number}.png")
    with subprocess.Popen(
        [sys.executable, "-m", "guidance.rerank", "a fox", str(photos), "--clip",
         str(tiny_clip_path), "--csv", str(tmp_path / "r.csv")],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0,
        # what a shell runs in the background is born deaf to Ctrl-C
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:  # fmt: skip
        assert process.stderr.read(1)  # the bar, after 2 seconds
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert out == b""
    assert b"image/s" in err
    assert err.splitlines()[-1] == b"guidance.rerank: interrupted"
    assert not (tmp_path / "r.csv").exists()


def test_as_a_program(photos, tiny_clip_path):
    done = subprocess.run(
        [sys.executable, "-m", "guidance.rerank", "-q", "a fox", str(photos), "--clip",
         str(tiny_clip_path), "-f", "--top", "2", "--device", "cpu"],
        capture_output=True, text=True, check=False, env=os.environ | {"PYTHONIOENCODING": "ascii"},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 2
