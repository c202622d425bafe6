"""Several rough drawings, the best of which is finished: on the command line and in Python."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from PIL import Image
from runs import Stopped

import guidance
from guidance.artefacts.manifest import read_manifest
from guidance.clipdraw import ClipDrawOptions
from guidance.clipdraw.build import build
from guidance.clipdraw.generator import Drawing
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.beginning import Beginning
from guidance.command.runner import command
from guidance.score.judge import Judge
from guidance.step.loop import run

STEPS, TRIES, ROUGH = 9, 3, 4
SMALL = {"strokes": 4, "size": "32", "render_size": 48, "cuts": 2, "steps": STEPS, "device": "cpu"}
FILES = ("image.png", "drawing.svg", "steps.csv", "progress.gif", "tries.png")


def draw(*arguments: object) -> int:
    return command(CLIPDRAW, [str(a) for a in arguments])


def given(clip: Path, **more: object) -> list[object]:
    """Return the command line of a small run."""
    options = SMALL | {"clip": clip, "video": "gif", "video_size": 32} | more
    return ["a fox", *(w for k, v in options.items() for w in (f"--{k.replace('_', '-')}", v))]


def several(clip: Path, **more: object) -> list[object]:
    return given(clip, tries=TRIES, try_steps=ROUGH, **more)


@pytest.fixture(scope="module")
def whole(tiny_clip_path, tmp_path_factory) -> Path:
    """Return the folder of a run with several tries."""
    folder = tmp_path_factory.mktemp("tries") / "whole"
    assert draw(*several(tiny_clip_path), "-q", "-o", folder) == 0
    return folder


def options_of(folder: Path) -> ClipDrawOptions:
    """Return the options of the try that was kept."""
    manifest = read_manifest(folder)
    seed = manifest["tries"]["seeds"][manifest["tries"]["kept"] - 1]
    clip = manifest["options"]["clip"]
    return ClipDrawOptions(prompt="a fox", clip=clip, seed=seed, **SMALL)


def assert_same(folder: Path, other: Path, files: tuple[str, ...] = FILES) -> None:
    for name in files:
        assert (folder / name).read_bytes() == (other / name).read_bytes(), name


def test_one_try_is_the_drawing_of_the_seed(tiny_clip_path):
    """Bit by bit what generator, objective and loop make without more."""
    options = ClipDrawOptions(prompt="a fox", clip=str(tiny_clip_path), seed=3, **SMALL)
    objective = guidance.guide(
        options.prompts(), STEPS, clip=options.clip, device="cpu", seed=3, cutouts=options.cutouts()
    )
    *_, plain = run(build(options, torch.device("cpu")), objective, STEPS)
    want = plain.generator.artefacts()
    for more in ({}, {"tries": 1}):
        *_, last = guidance.draw("a fox", clip=str(tiny_clip_path), seed=3, **SMALL, **more)
        assert last.generator.artefacts() == want
        assert (last.loss, last.score) == (plain.loss, plain.score)


def test_the_judge_likes_best_what_is_kept(whole):
    table = read_manifest(whole)["tries"]
    options = ClipDrawOptions(prompt="a fox", clip=options_of(whole).clip, tries=TRIES,
                              try_steps=ROUGH, **SMALL)  # fmt: skip
    judge = Judge(options.judged_by(), options.clip, device="cpu")
    scores = []
    for start in options.starts():
        for step in CLIPDRAW.steps(start):
            if step.index == ROUGH - 1:
                scores.append(judge(step.generator.render(32, 32)))
    assert table["seeds"] == [start.seed for start in options.starts()]
    assert table["seeds"][0] == 0
    assert table["scores"] == scores
    assert len(set(scores)) == TRIES
    assert table["kept"] == 1 + scores.index(max(scores))


def test_what_is_kept_is_a_run_of_its_seed(whole, tmp_path):
    options = options_of(whole)
    assert options.seed != 0, "the first would prove little"
    arguments = given(Path(options.clip), seed=options.seed)
    assert draw(*arguments, "-q", "-o", tmp_path / "alone") == 0
    assert_same(whole, tmp_path / "alone", ("drawing.svg", "steps.csv", "progress.gif"))
    with Image.open(whole / "image.png") as kept, Image.open(tmp_path / "alone/image.png") as one:
        assert kept.tobytes() == one.tobytes()
        assert kept.text["seed"] == str(options.seed)
        assert float(kept.text["score"]) == max(read_manifest(whole)["tries"]["scores"])


def test_what_it_leaves(whole):
    names = {path.name for path in whole.iterdir()}
    assert names == {*FILES, "manifest.toml", "checkpoint.safetensors"}
    rows = (whole / "steps.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [str(n) for n in range(STEPS)]
    with Image.open(whole / "tries.png") as sheet:
        assert min(sheet.size) > 2 * 256  # two in a row
    manifest = read_manifest(whole)
    assert manifest["result"]["steps"] == STEPS
    assert manifest["options"]["seed"] == 0


def test_in_python(whole):
    options = ClipDrawOptions(prompt="a fox", clip=options_of(whole).clip, **SMALL)
    steps = list(guidance.draw("a fox", clip=options.clip, tries=TRIES, try_steps=ROUGH, **SMALL))
    assert [step.index for step in steps] == list(range(STEPS))
    svg = steps[-1].generator.artefacts()["drawing.svg"]
    assert svg == (whole / "drawing.svg").read_text()


def test_the_same_seed_gives_the_same_bytes_also_from_the_manifest(whole, tmp_path):
    assert draw("--from", whole, "-q", "-o", tmp_path / "again") == 0
    assert_same(whole, tmp_path / "again")
    assert read_manifest(whole)["tries"] == read_manifest(tmp_path / "again")["tries"]
    assert draw("--from", whole, "--seed", 1, "-q", "-o", tmp_path / "other") == 0
    assert read_manifest(whole)["tries"] != read_manifest(tmp_path / "other")["tries"]


def stopped(at: int, work: Callable[[], int]) -> None:
    """Do `work` and end it before the step `at` of all that are made."""
    made, original = [], Drawing.step

    def step(self: Drawing, objective: Callable) -> object:
        if len(made) == at:
            raise Stopped
        made.append(1)
        return original(self, objective)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Drawing, "step", step)
        with pytest.raises(Stopped):
            work()


# in the first try, between two, in the last, and when one of them goes on
@pytest.mark.parametrize("at", [2, 8, 11, 14])
def test_resumed_after_any_step(at, whole, tiny_clip_path, tmp_path):
    arguments = [*several(tiny_clip_path, save_every=2), "-q", "-o", tmp_path / "run"]
    stopped(at, lambda: draw(*arguments))
    known = read_manifest(tmp_path / "run")["tries"]["scores"]
    assert len(known) == min(TRIES, at // ROUGH)
    assert (tmp_path / "run/checkpoint.safetensors").exists() == (at >= TRIES * ROUGH)
    if at == 11:  # and once more
        stopped(2, lambda: draw("--resume", tmp_path / "run"))
    assert draw("--resume", tmp_path / "run") == 0
    assert_same(whole, tmp_path / "run", ("drawing.svg", "steps.csv", "progress.gif", "tries.png"))
    assert {p.name for p in (tmp_path / "run").iterdir()} == {p.name for p in whole.iterdir()}


def test_ctrl_c_while_it_tries(whole, tiny_clip_path, tmp_path, monkeypatch, capsys):
    original = Drawing.step

    def step(self: Drawing, objective: Callable) -> object:
        signal.raise_signal(signal.SIGINT)
        return original(self, objective)

    with monkeypatch.context() as patch:
        patch.setattr(Drawing, "step", step)
        assert draw(*several(tiny_clip_path), "-o", tmp_path / "run") == 130
    assert "interrupted after 0 of 9 steps" in capsys.readouterr().out
    left = {path.name for path in (tmp_path / "run").iterdir()}
    assert left == {"image.png", "drawing.svg", "steps.csv", "manifest.toml"}
    assert draw("--resume", tmp_path / "run") == 0
    assert_same(whole, tmp_path / "run", ("drawing.svg", "steps.csv", "progress.gif", "tries.png"))


def test_progress_is_told_over_all_steps(tiny_clip_path, tmp_path, capsys):
    assert draw(*several(tiny_clip_path), "-o", tmp_path / "run") == 0
    shown = capsys.readouterr()
    every = STEPS + (TRIES - 1) * ROUGH
    assert f"{every}/{every}" in shown.err
    assert "try 3 of 3: " in shown.err
    kept = read_manifest(tmp_path / "run")["tries"]["kept"]
    assert f"try {kept} of 3 fits best and goes on" in shown.err
    assert "finished after 9 of 9 steps" in shown.out


def test_another_judge(whole, tiny_clip_path, tmp_path):
    from tiny_clip import build_tiny

    other = build_tiny(tmp_path / "judge", seed=5)
    assert draw(*several(tiny_clip_path, judge=other), "-q", "-o", tmp_path / "run") == 0
    assert (
        read_manifest(tmp_path / "run")["tries"]["scores"]
        != read_manifest(whole)["tries"]["scores"]
    )


def test_tries_that_a_manifest_has_of_others_are_made_again(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "run")
    (folder / "drawing.svg").unlink()
    path = folder / "manifest.toml"
    path.write_text(path.read_text().replace("scores = [", 'scores = ["x",'))
    assert draw("--resume", folder) == 0
    assert_same(whole, folder)
    assert read_manifest(folder)["tries"] == read_manifest(whole)["tries"]


SEEDS = [start.seed for start in ClipDrawOptions(prompt="x", tries=TRIES).starts()]
ODD = [
    {}, {"tries": "x"}, {"tries": {}}, {"tries": {"seeds": SEEDS}},
    {"tries": {"seeds": [1, 2, 3], "scores": [0.1]}},
    {"tries": {"seeds": SEEDS, "scores": [0.1] * 4}},
    {"tries": {"seeds": SEEDS, "scores": [0.1, "x"]}},
    {"tries": {"seeds": SEEDS, "scores": [True]}},
    {"tries": {"seeds": SEEDS, "scores": [float("nan")]}},
]  # fmt: skip


def test_what_a_manifest_says_of_tries():
    several = ClipDrawOptions(prompt="x", tries=TRIES)
    for manifest in ODD:
        assert Beginning(CLIPDRAW, several, manifest).scores == [], manifest
    known = {"tries": {"seeds": SEEDS, "scores": [0.1, 0.3, 0.2]}}
    beginning = Beginning(CLIPDRAW, several, known)
    assert (beginning.kept, beginning.decided, beginning.more) == (1, True, 80)
    assert beginning.table() == {"seeds": SEEDS, "scores": [0.1, 0.3, 0.2], "kept": 2}
    assert beginning.facts() == {"seed": str(SEEDS[1]), "score": "0.3"}
    one = Beginning(CLIPDRAW, ClipDrawOptions(prompt="x"), known)
    assert (one.scores, one.table(), one.facts(), one.more) == ([], {}, {}, 0)


def test_a_manifest_of_an_older_version_has_no_tries(tiny_clip_path, tmp_path, monkeypatch):
    """Its runs were of one start, whatever is usual today."""
    assert draw(*given(tiny_clip_path), "-q", "-o", tmp_path / "old") == 0
    path = tmp_path / "old/manifest.toml"
    path.write_text(path.read_text().replace("tries = 1\n", ""))
    monkeypatch.setattr(ClipDrawOptions, "BEFORE", {"tries": 2})
    assert draw("--from", path, "-q", "-o", tmp_path / "new") == 0
    assert read_manifest(tmp_path / "new")["options"]["tries"] == 2


BAD = {
    "no try": (["--tries", "0"], "tries must be at least 1 and at most 1024 but is 0"),
    "too many": (["--tries", "9999"], "at most 1024 but is 9999"),
    "no step": (["--tries", "2", "--try-steps", "0"], "try_steps must be at least 1 but is 0"),
    "as many steps": (
        ["--tries", "2", "--try-steps", "9", "--steps", "9"],
        "try_steps must be fewer than the 9 steps of the run but are 9",
    ),
    "nothing to judge by": (
        ["[noise 3]", "--tries", "2"],
        "--tries needs a prompt in words or a picture to judge by, but at step 39 there is none",
    ),
    "unknown judge": (["--tries", "2", "--judge", "mimi"], "did you mean mini"),
    "an empty judge": (["--judge", ""], "judge must be a name but is empty"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_exit_2(case, refused):
    arguments, expected = BAD[case]
    prompt = [] if arguments[0].startswith("[") else ["a fox"]
    refused(draw, [*prompt, *arguments], expected)


def test_steps_of_a_try():
    rough = lambda **options: ClipDrawOptions(prompt="x", **options).rough()  # noqa: E731
    assert rough() == 40
    assert rough(steps=60) == 30
    assert rough(steps=60, try_steps=50) == 50
    assert rough(steps=1) == 1
    ClipDrawOptions(prompt="x", steps=1, tries=2).check()
