from __future__ import annotations

import pytest

from guidance.command.scoring import flags_of, options_first
from guidance.errors import FileError, InputError
from guidance.files.text import read_prompts
from guidance.rerank.options import RerankOptions


def test_flags_are_the_options_without_a_value():
    assert flags_of(RerankOptions) == {
        "--per-prompt", "--filepath-only", "-f", "--recursive", "-r", "--strict", "--quiet", "-q",
        "--unique", "--help", "-h",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "ordered"),
    [
        ("fox a -t 3 b -r c", "-t 3 -r -- fox a b c"),
        ("-q fox a --csv=x.csv", "-q --csv=x.csv -- fox a"),
        ("fox -- -a.png --top", "-- fox -a.png --top"),
        ("--per_prompt fox a", "--per_prompt -- fox a"),
        ("--no-strict fox a --no_unique", "--no-strict --no_unique -- fox a"),
        ("--top", "--top"),
        ("--help", "--help"),
        ("", ""),
    ],
)
def test_options_first(given, ordered):
    assert options_first(given.split(), flags_of(RerankOptions)) == ordered.split()


def test_prompts_and_paths_are_told_apart(tmp_path):
    file = tmp_path / "prompts.txt"
    file.write_text("\ufeff# animals\na fox:2\n\n  a wolf | fog:-1  \n", encoding="utf-8")
    assert RerankOptions(inputs=("a fox", "x", "y")).prompts_and_paths == (["a fox"], ["x", "y"])
    assert RerankOptions(inputs=("x",), prompt=("a", "b")).prompts_and_paths == (["a", "b"], ["x"])
    assert RerankOptions(inputs=("x", "y"), prompts_file=str(file)).prompts_and_paths == (
        ["a fox:2", "a wolf | fog:-1"],
        ["x", "y"],
    )
    both = RerankOptions(inputs=("x",), prompt=("a",), prompts_file=str(file))
    assert both.prompts_and_paths == (["a", "a fox:2", "a wolf | fog:-1"], ["x"])


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ((), "a prompt is needed, as in: rerank PROMPT PATH..."),
        (("a fox",), "images or folders are needed after the prompt"),
        ((" ", "x"), "a prompt is needed"),
        (("{folder}", "x"), "the prompt comes before the images but '.*' is a folder"),
    ],
)
def test_incomplete_commands(tmp_path, inputs, message):
    with pytest.raises(InputError, match=message):
        RerankOptions(inputs=tuple(i.format(folder=tmp_path) for i in inputs)).check()


def test_files_of_prompts_that_cannot_be_used(tmp_path):
    (tmp_path / "prompts.txt").write_text("# nothing\n")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    for name, message in {
        "prompts.txt": "holds no prompts",
        "latin.txt": "it is not UTF-8 text",
        "promts.txt": r"does not exist; did you mean prompts\.txt",
        ".": "Is a directory",
    }.items():
        with pytest.raises(FileError, match=message):
            read_prompts(str(tmp_path / name))


def test_criteria_that_need_no_prompt(tmp_path):
    options = RerankOptions(inputs=("x", "y"), by="uniqueness")
    assert options.prompts_and_paths == ([], ["x", "y"])
    shown = RerankOptions(inputs=("a fox", "y"), by="uniqueness,prompt:0")
    assert shown.prompts_and_paths == (["a fox"], ["y"])
    with pytest.raises(InputError, match="images or folders are needed with --by uniqueness"):
        RerankOptions(by="uniqueness").check()
    for extra in ({"prompt": ("a",)}, {"prompts_file": "f.txt"}, {"negative": ("a",)}):
        with pytest.raises(InputError, match="--by uniqueness uses no prompt; add prompt or"):
            RerankOptions(inputs=("x",), by="uniqueness", **extra).check()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": "beauty"}, "--by: unknown criterion 'beauty'"),
        ({"by": "promt"}, "did you mean prompt"),
        ({"by": "prompt,prompt:2"}, "--by names prompt twice"),
        ({"by": "prompt:x"}, "the weight of prompt must be a number within ±1000 but is 'x'"),
        ({"by": "prompt:inf"}, "but is 'inf'"),
        ({"by": "prompt:0,uniqueness:0"}, "at least one weight must not be 0"),
        ({"by": ""}, "unknown criterion ''"),
        ({"by": "aesthetic"}, "--by aesthetic needs a head: --aesthetic FILE"),
        ({"aesthetic": "head.pth"}, "--aesthetic needs --by aesthetic, or aesthetic:0"),
        ({"duplicates": 1.5}, "--duplicates must be from -1 to 1 but is 1.5"),
        ({"diversity": float("nan")}, "--diversity must be from 0 to 1 but is nan"),
        ({"diversity": -0.1}, "--diversity must be from 0 to 1"),
        ({"by": "uniqueness", "judge": "mini"}, "--judge needs prompts: add prompt or prompt:0"),
        ({"by": "uniqueness", "per_prompt": True}, "--per-prompt needs prompts"),
        ({"per_prompt": True, "diversity": 0.5}, "order the images in different ways"),
    ],
)
def test_values_that_do_not_fit(options, message):
    with pytest.raises(InputError, match=message):
        RerankOptions(inputs=("a fox", "x"), **options).check()


def test_duplicates_have_a_threshold_of_their_own():
    assert RerankOptions().threshold is None
    assert RerankOptions(unique=True).threshold == 0.95
    assert RerankOptions(unique=True, duplicates=0.8).threshold == 0.8
