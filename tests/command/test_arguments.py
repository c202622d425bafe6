"""Command lines against their options: names, counts and kinds, for every command there is."""

from __future__ import annotations

import random
import re
import runpy
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
import tyro
from PIL import Image

from guidance.command import cli
from guidance.command.arguments import check_arguments, table
from guidance.errors import InputError

ROOT = Path(__file__).parents[2]
KINDS = {
    "guidance/look/__main__.py": ("matrix", "heat", "write", "video"),
    "guidance/evaluate/__main__.py": ("clip", "diffusion", "vqgan"),
    "guidance/train/text/__main__.py": ("embed", "distil"),
}


def commands() -> list[tuple[str, str]]:
    """Return the file of every command, and a kind for those that have several."""
    files = [
        *ROOT.glob("guidance/*/__main__.py"), *ROOT.glob("guidance/train/*/__main__.py"),
        *ROOT.glob("recipes/*.py"),
    ]  # fmt: skip
    names = [
        path.relative_to(ROOT).as_posix()
        for path in sorted(files)
        if "__main__" in path.read_text()
    ]
    return [(name, kind) for name in names for kind in KINDS.get(name, ("",))]


def prefix(name: str, kind: str) -> str:
    if name.startswith("recipes/"):
        return name
    module = name.removesuffix(".py").removesuffix("/__main__").replace("/", ".")
    return f"{module} {kind}".strip()


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs a file as a program: exit code, stdout and stderr."""

    def call(name: str, *arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", [name, *filter(None, arguments)])
        with pytest.raises(SystemExit) as end:
            runpy.run_path(str(ROOT / name), run_name="__main__")
        said = capsys.readouterr()
        return end.value.code, said.out, said.err

    return call


@pytest.mark.parametrize(("name", "kind"), commands(), ids=lambda v: str(v))
def test_a_mistyped_option_is_told_by_every_command(name, kind, run):
    code, shown, _ = run(name, kind, "--help")
    assert code == 0
    known = sorted(set(re.findall(r"(?<![\w-])--[a-z][a-z-]{3,}", shown)) - {"--help"})
    chance = random.Random(name + kind)
    for right in chance.sample(known, min(4, len(known))):
        place = chance.randrange(3, len(right) - 1)
        wrong = right[:place] + right[place + 1 :]
        if wrong in known or wrong[2:] in ("step", "clip"):
            continue
        code, out, err = run(name, kind, wrong, "1")
        assert (code, out, err.count("\n")) == (2, "", 1)
        assert err.startswith(
            f"{prefix(name, kind)}: error: unknown option {wrong!r}; did you mean"
        )
        assert right in err


@dataclass(frozen=True)
class Inner:
    """A section."""

    freeze: cli.Several[tuple[Literal["image", "text"], ...]] = ()
    weights: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Options:
    """All kinds of options."""

    prompt: cli.Prompt
    steps: Annotated[int, cli.alias("-i", "--iterations")] = 9
    lr: float | None = None
    width: tuple[float, float] = (1.0, 2.0)
    seeds: tuple[int, ...] = ()
    words: tuple[str, ...] = ()
    video: Literal["mp4", "none"] = "mp4"
    quiet: Annotated[bool, cli.alias("-q")] = False
    init: str | None = None
    inner: Inner = Inner()


REFUSED = [
    (["a", "--step", "2"], "unknown option '--step'; did you mean --steps?"),
    (["a", "--freez=text"], "unknown option '--freez'; did you mean --freeze?"),
    (["a", "-quiet"], r"unknown option '-quiet'; did you mean --quiet"),
    (["a", "-i5", "-iters", "5"], "unknown option '-iters'; did you mean"),
    (["-fox"], "stands behind '--'"),
    (["--fox in fog.png"], "stands behind '--'"),
    (["a", "--resum", "x"], "did you mean --resume?"),
    (["a", "--promt", "x"], "did you mean --prompt"),
    (["a", "--hepl"], "did you mean --help?"),
    (["a", "--steps"], "--steps needs a value"),
    (["a", "-i", "--quiet"], "-i needs a value\n"),  # the next option is no value of it
    (["a", "-i", "-x"], "-i needs a value; one that begins with a dash is written -i=-x"),
    (["a", "--step", "2"], "did you mean --steps?\n"),  # and no short name
    (["a", "--help=1"], "--help takes no value but is given '1'"),
    (["a", "--quiet", "true"], "unexpected argument 'true': --quiet takes no value, there is --no"),
    (["a", "--steps", "5", "6"], "unexpected argument '6': --steps takes one value"),
    (["--width", "1", "3", "5", "a"], "unexpected argument '5': --width takes 2 values"),
    (["a", "--video", "MP4"], "did you mean mp4?"),
    (["-p", "--steps", "4"], "-p needs a value; as a prompt write -p=--steps"),
    (["--words", "x", "a fox", "-q"], "--words takes all words behind it: put PROMPT before it"),
    (["a", "--init", "-x.png"], "is written --init=-x.png"),
    (["a", "--width", "3"], "--width needs 2 values"),
    (["a", "--width", "3", "--quiet"], "--width needs 2 values"),
    (["a", "--steps", "many"], "--steps must be a whole number but is 'many'"),
    (["a", "--steps=1.5"], "--steps must be a whole number but is '1.5'"),
    (["a", "--lr", "fast"], "--lr must be a number but is 'fast'"),
    (["a", "--width", "1", "x"], "--width must be a number but is 'x'"),
    (["--seeds", "1", "x", "a"], "--seeds must be a whole number but is 'x'"),
    (["a", "--video", "mp3"], "must be one of mp4, none but is 'mp3'; did you mean mp4?"),
    (["a", "--freeze", "txt"], "must be one of image, text but is 'txt'; did you mean text?"),
    (["a", "--quiet=yes"], "--quiet takes no value but is given 'yes'"),
    (["a", "red", "fox"], "unexpected argument 'red': a prompt of several words stands in quotes"),
    (["--", "a", "--steps"], "unexpected argument '--steps'"),
    ([], "PROMPT is missing"),
    (["--seeds", "--quiet"], "PROMPT is missing"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda v: repr(v)[:40])
def test_one_line_says_what_is_wrong(given, message, capsys):
    def say(options: Options) -> None:
        raise AssertionError(options)

    taken = {"prog": "python -m guidance.x", "taken": ("--resume",)}
    assert cli.main(Options, say, argv=given, **taken) == 2
    said = capsys.readouterr().err
    assert said.startswith("guidance.x: error: ")
    assert message in said
    assert said.count("\n") == 1


TAKEN = [
    (["a"], {}),
    (["--steps", "-1", "-7"], {"prompt": "-7", "steps": -1}),
    (["a", "--lr", "-.5", "--width=-1e3", "nan"], {"lr": -0.5}),
    (["a", "--lr", "None", "--no-quiet", "-i4", "-q"], {"steps": 4, "quiet": True}),
    (["--seeds", "1", "2", "a"], {"seeds": (1, 2)}),
    (["a", "--seeds"], {}),
    (["--init=-x.png", "--steps", "3", "--", "-fox"],
     {"prompt": "-fox", "steps": 3, "init": "-x.png"}),
    (["-p", "-fox", "-q"], {"prompt": "-fox", "quiet": True}),
    (["a", "--freeze", "text", "--freeze", "image"], {"inner": Inner(freeze=("text", "image"))}),
    (["a", "--weights", "x", "1", "y", "2"], {"inner": Inner(weights={"x": 1.0, "y": 2.0})}),
    (["-", "--iterations", "4"], {"prompt": "-", "steps": 4}),
]  # fmt: skip


@pytest.mark.parametrize(("given", "expected"), TAKEN, ids=lambda v: repr(v)[:40])
def test_what_is_allowed_is_taken_as_tyro_takes_it(given, expected):
    seen: list[Options] = []
    assert cli.main(Options, seen.append, prog="python -m guidance.x", argv=given) == 0
    for name, value in ({"prompt": "a"} | expected).items():
        assert getattr(seen[0], name) == value


@dataclass(frozen=True)
class OfPhoto:
    """A positional argument of its own name."""

    photo: Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PHOTO")]


@dataclass(frozen=True)
class Training:
    """Options that must be given, and no words."""

    data: Path
    out: Annotated[Path, cli.alias("-o")]
    steps: int = 3


def test_what_is_missing_is_named():
    with pytest.raises(InputError, match=r"^--data, --out must be given; see --help$"):
        check_arguments(["--steps", "2"], Training)
    with pytest.raises(InputError, match=r"^--data must be given"):
        check_arguments(["-o", "x"], Training)
    check_arguments([], Training, given=True)
    check_arguments(["--data=x", "-o", "y"], Training)
    with pytest.raises(InputError, match="'y': the name of an option begins with '--'"):
        check_arguments(["--data=x", "-o", "x", "y"], Training)
    with pytest.raises(InputError, match="PHOTO is missing; see --help"):
        check_arguments([], OfPhoto)
    check_arguments([], OfPhoto, given=True)


def test_the_table_has_every_name():
    known = table(Options)
    assert {"--steps", "-i", "--iterations", "--quiet", "--no-quiet", "-q", "--freeze"} <= set(
        known
    )
    assert "--prompt" not in known
    assert known["--seeds"].several
    assert not known["--freeze"].several


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("best_of_ten", ["a", "--steps", "0"]),
        ("draw_then_paint", ["a", "--draw-steps", "0"]),
        ("restyle", ["photo.png", "--steps", "0"]),
    ],
)
def test_recipes_that_refuse_leave_no_folder(name, given, run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Image.new("RGB", (32, 32)).save("photo.png")
    code, _, said = run(f"recipes/{name}.py", *given)
    assert (code, said.count("\n")) == (2, 1)
    assert [p.name for p in tmp_path.iterdir()] == ["photo.png"]
