"""``python -m guidance.evaluate blind``: the pages' commands, what a sheet gives away, going on."""

import csv
import json
import shlex
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import tiny_diffusion
from pages import commands
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from plugins import DOTS, install
from runs import pixels

from guidance.artefacts.manifest import read_manifest
from guidance.evaluate.__main__ import main

COMMANDS = commands("guidance.evaluate blind")
TILE = 64


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def blind(*arguments) -> int:
    return main(["blind", *map(str, arguments)])


def rows(path) -> list[dict[str, str]]:
    with Path(path).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def picture(path, colour, size=(32, 32), **text) -> Path:
    """Save a picture of one colour with text inside."""
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    info = PngInfo()
    for name, value in text.items():
        info.add_text(name, value)
    Image.new("RGB", size, colour).save(path, pnginfo=info)
    return Path(path)


def middle(sheet: np.ndarray, number: int, columns: int) -> tuple[int, ...]:
    """Return the colour in the middle of a picture of a sheet of `TILE`."""
    down, right = divmod(number - 1, columns)
    step_x, step_y = TILE + 4, TILE + 18 + 4
    return tuple(sheet[4 + down * step_y + TILE // 2, 4 + right * step_x + TILE // 2])


def test_commands_of_the_pages(tmp_path, tiny_clip_path):
    small = ["--clip", tiny_clip_path, "--steps", "2", "--cuts", "2"]
    own = {
        "clipdraw": [*small, "--strokes", "4", "--size", "32", "--render-size", "48"],
        "diffusion": [*small, "--model", str(tiny_diffusion.save(tmp_path / "sd"))],
    }
    assert len(COMMANDS) == 3
    for command in sorted(COMMANDS, key=lambda c: "--pictures" in c):
        before, _, behind = command.partition(" -- ")
        arguments = [*shlex.split(before), "--quiet"]
        if "--technique" in command:
            technique = arguments[arguments.index("--technique") + 1]
            arguments += ["--limit", "1", "--", *shlex.split(behind), *own[technique]]
        else:
            shutil.copytree("blind/drawings/pictures", "outputs")
        assert blind(*arguments) == 0
        folder = Path(arguments[arguments.index("-o") + 1])
        key = rows(folder / "key.csv")
        assert {(row["prompt"], row["name"], row["seed"]) for row in key} == {("a cow", "cow", "0")}
        names = (folder / "judge/names.txt").read_text().splitlines()
        assert "cow" in names
        # those of the fresh list; those of the everyday one, which has cows too
        assert len(names) == (45 if "--technique" in command else 60)


def test_the_sheet_gives_nothing_away():
    """Equal squares and numbers: no text inside, no name, no order of the prompts."""
    colours = {f"a thing {chr(97 + i)}": (20 * i, 255 - 20 * i, 40) for i in range(9)}
    for i, (prompt, colour) in enumerate(colours.items()):
        picture(f"made/{i}.png", colour, (16 + 9 * i, 16 + 9 * i), prompt=prompt, Comment="secret")
    assert blind("--pictures", "made", "-o", "out", "--tile", TILE, "-q") == 0
    assert sorted(p.name for p in Path("out/judge").iterdir()) == [
        "answers.csv", "names.txt", "sheet.png",
    ]  # fmt: skip
    with Image.open("out/judge/sheet.png") as sheet:
        assert sheet.text == {}
        assert not sheet.getexif()
    raw = Path("out/judge/sheet.png").read_bytes()
    assert not any(word in raw for word in (b"thing", b"secret", b"tEXt", b"iTXt", b"eXIf"))
    assert Path("out/judge/answers.csv").read_text().splitlines() == [
        "number,name,likeness", *(f"{n},," for n in range(1, 10)),
    ]  # fmt: skip
    key = rows("out/key.csv")
    assert [row["prompt"] for row in key] != list(colours)
    shown = pixels(Path("out/judge/sheet.png"))
    for number, row in enumerate(key, 1):
        assert middle(shown, number, 3) == colours[row["prompt"]]
        down, right = divmod(number - 1, 3)
        square = shown[4 + down * 86 :, 4 + right * 68 :][:TILE, :TILE]
        assert (abs(square - colours[row["prompt"]]) <= 1).all(), "it fills its square"


def test_the_order_follows_the_seed_and_the_pictures():
    def order(folder, *more):
        assert blind("--pictures", folder, "-o", "out", "--tile", TILE, "-q", *more) == 0
        names = Path("out/judge/names.txt").read_text()
        return [row["prompt"] for row in rows("out/key.csv")], names

    for i in range(8):
        picture(f"one/thing {chr(97 + i)}.png", (i, 0, 0))
        picture(f"two/thing {chr(97 + i)}.png", (0, i, 0))
    first = order("one")
    assert order("one") == first
    assert order("two")[0] != first[0], "a second sheet of the same prompts is in another order"
    other = order("one", "--seed", 1)
    assert other[0] != first[0]
    assert other[1] != first[1]
    assert sorted(other[1].splitlines()) == sorted(first[1].splitlines())


def test_pictures_of_any_tool(photo):
    Path("mixed").mkdir()
    picture("mixed/1.png", "red", prompt="a fox at sunrise:2 | fog:-0.5", guidance=json.dumps(
        {"options": {"seed": 7}}))  # fmt: skip
    picture("mixed/2.png", "green", parameters="an owl, (oil:1.2)\nNegative prompt: x\nSteps: 20")
    picture("mixed/3 blue_whales-04 (2).png", "blue", prompt='{"3": {"class_type": "KSampler"}}')
    picture("mixed/run-1/image.png", "black")
    picture("mixed/run-1/image-2.png", "white")
    Path("mixed/run-1/manifest.toml").write_text('[options]\nprompt = "a cow"\nseed = 3\n')
    picture("listed/x1.png", "white")
    Path("listed/captions.csv").write_text("image,caption\nx1.png,a white page\n")
    assert blind("--pictures", "mixed", "--pictures", "listed", "-o", "out", "-q") == 0
    found = {row["prompt"]: (row["name"], row["seed"]) for row in rows("out/key.csv")}
    assert found == {
        "a fox at sunrise:2 | fog:-0.5": ("fox at sunrise", "7"),
        "an owl, (oil:1.2)": ("owl, (oil:1.2)", ""),
        "3 blue whales 04": ("3 blue whales 04", ""),
        "a cow": ("cow", "3"),
        "a white page": ("white page", ""),
    }
    names = Path("out/judge/names.txt").read_text().splitlines()
    assert not {"fox", "owl", "whale"} & set(names), "each would be right as well"


def test_pictures_of_some_prompts_under_their_names(capsys):
    for name in ("a fox at sunrise", "an owl", "a cow"):
        picture(f"made/{name}.png", "white")
    Path("mine.txt").write_text("# mine\na fox at sunrise\tfox | vixen\nan owl\n")
    given = ("--pictures", "made", "--prompts", "mine.txt", "-o", "out", "-q")
    assert blind(*given) == 0
    found = sorted((row["name"], row["accepted"]) for row in rows("out/key.csv"))
    assert found == [("fox", "vixen"), ("owl", "")]
    assert blind(*given, "-p", "a zebra") == 2
    assert capsys.readouterr().err.endswith(
        "error: there is no picture of 1 prompt of 3, first 'a zebra'\n"
    )


@pytest.fixture
def dots(tmp_path, tiny_clip_path, monkeypatch):
    """Return what runs the technique of another package at tiny size."""
    site = install(tmp_path / "site", "guidance-dots", {"dots": "dots:DOTS"}, dots=DOTS)
    monkeypatch.syspath_prepend(str(site))
    small = ["--cuts", 2, "--clip", tiny_clip_path]
    yield lambda before, after: blind("--technique", "dots", *before, "--", *small, *after)
    sys.modules.pop("dots", None)


def test_a_technique_of_another_package(dots, capsys):
    asked = ["-p", "a fox = vixen", "-o", "out"]
    assert dots(asked, ["--grid", 65]) == 2
    assert "grid must be at least 1 and at most 64 but is 65" in capsys.readouterr().err
    assert dots(asked, ["--grid", 3, "--steps", 1]) == 0
    assert [row["name"] for row in rows("out/key.csv")] == ["vixen"]
    assert not list(Path("out").rglob("progress.*")), "nobody looks at a video"
    capsys.readouterr()
    assert dots(asked, ["--help"]) == 0
    assert "--grid INT" in capsys.readouterr().out


def test_a_job_goes_on_where_it_was_ended(dots, capsys, monkeypatch):
    both, own = ["-p", "a fox", "-p", "a fox!", "--each", 2, "-o", "out"], ["--steps", 3]
    assert dots(["-p", "a fox", "-o", "out", "-q"], own) == 0
    Path("out/key.csv").unlink()
    first = Path("out/pictures/dots-a-fox-0/image.png")
    before = first.stat().st_mtime_ns
    monkeypatch.setenv("DOTS_STOP", "1")  # Ctrl-C in the middle of the next one
    assert dots(both, own) == 130
    assert "1 of 4 pictures are there; the same command goes on\n" in capsys.readouterr().err
    assert not Path("out/key.csv").exists()
    begun = Path("out/pictures/dots-a-fox-1")
    assert "interrupted" in (begun / "manifest.toml").read_text()
    monkeypatch.delenv("DOTS_STOP")
    created = read_manifest(begun)["created"]
    assert dots([*both, "-q"], own) == 0
    assert capsys.readouterr() == ("", "")
    assert read_manifest(begun)["created"] == created, "it was continued"
    assert read_manifest(begun)["result"]["steps"] == 3
    assert first.stat().st_mtime_ns == before, "it was not made again"
    folders = {Path(row["picture"]).parent.name for row in rows("out/key.csv")}
    assert folders == {f"dots-a-fox-{n}" for n in ("0", "1", "0-2", "1-2")}
    assert dots(both, own) == 0
    assert "wrote out/judge and out/key.csv" in capsys.readouterr().err
    assert dots(both, ["--steps", 4]) == 2
    assert capsys.readouterr().err.endswith(
        "error: out/pictures/dots-a-fox-0 was made with --steps 3; name another folder\n"
    )
    (begun / "manifest.toml").write_text("x = 1\n")
    assert dots(both, own) == 2
    assert "out/pictures/dots-a-fox-1 holds another run; name another" in capsys.readouterr().err


def test_answers_are_never_lost(capsys):
    picture("made/fox.png", "red")
    assert blind("--pictures", "made", "-o", "out", "-q") == 0
    Path("out/judge/answers.csv").write_text("number;name;likeness\n1;fox;7,5\n")
    assert blind("--pictures", "made", "-o", "out") == 2
    assert capsys.readouterr().err.endswith(
        "error: out/judge/answers.csv is filled in: name another folder, or move it away\n"
    )
    assert "fox;7,5" in Path("out/judge/answers.csv").read_text()


MADE = ("--technique", "pixels", "-o", "out")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "--output must be given"),
        (("-o", "out"), "give either --technique NAME with prompts, or --pictures FOLDER"),
        ((*MADE, "--pictures", "made"), "give either --technique NAME with prompts, or"),
        (MADE, "prompts are needed: --prompts FILE, --prompts fresh or --prompt TEXT"),
        (("a fox", *MADE), "unexpected argument 'a fox': prompts are given by --prompts FILE"),
        ((*MADE, "--prompts", "frsh"), "no file and unknown list 'frsh'; did you mean fresh?"),
        ((*MADE, "--prompts", "none.txt"), "none.txt does not exist"),
        ((*MADE, "-p", "a cow", "-p", "a cow"), "the prompt 'a cow' is there twice; --each makes"),
        ((*MADE, "-p", "a fox:nan"), "a weight must be between -1000 and 1000 and not 0 but is"),
        ((*MADE, "-p", "a fox =  | "), "must be a prompt and behind a tab or ' = ' its name"),
        ((*MADE, "-p", "a", "--steps", "3"), "unknown option '--steps'"),
        ((*MADE, "-p", "a", "--", "--step", "3"), "pixels: unknown option '--step'; did you mean"),
        ((*MADE, "-p", "a", "--", "--steps", "0"), "steps must be at least 1"),
        ((*MADE, "-p", "a", "--", "--seed", "3"), "--seed stands before '--'"),
        ((*MADE, "-p", "a", "--", "-o", "x"), "--output stands before '--'"),
        ((*MADE, "-p", "a", "--each", "0"), "each must be at least 1"),
        ((*MADE, "--prompts", "fresh", "--each", "21"), "400 pictures at most, but these are 420"),
        ((*MADE, "-p", "a", "--tile", "8"), "tile must be at least 64 and at most 1024"),
        ((*MADE, "-p", "a", "--distractors", "everydy"), "did you mean everyday?"),
        ((*MADE, "-p", "a", "--distractors", "no.txt"), "no.txt does not exist"),
        (("--technique", "pixel", "-p", "a", "-o", "out"), "did you mean pixels"),
        (("--pictures", "nowhere", "-o", "out"), "nowhere does not exist"),
        (("--pictures", "empty", "-o", "out"), "no images in empty"),
        (("--pictures", "begun", "-o", "out"), "begun has no image.png: continue the run"),
        (("--pictures", "made", "-o", "out", "--each", "2"), "--each is for pictures that are"),
        (("--pictures", "made", "-o", "out", "--", "--steps", "3"), "--steps is for pictures"),
        (("--pictures", "made/7.png", "-o", "out"), "made/7.png does not say what it shows"),
        (("--pictures", "made", "-o", "made/7.png"), "output must be a folder but made/7.png"),
    ],
)
def test_bad_input(arguments, said, capsys):
    picture("made/7.png", "red")
    Path("empty").mkdir()
    Path("begun").mkdir()
    Path("begun/manifest.toml").write_text("")
    assert blind(*arguments) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not Path("out").exists()
