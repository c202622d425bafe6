"""Names for blind naming: how two are compared, prompts of lists, what there is to choose from."""

import ast
import shlex
from pathlib import Path

import pytest
from pages import commands

from guidance.errors import FileError, InputError
from guidance.evaluate.blind import lists
from guidance.evaluate.blind.lists import Group, Wanted, choices, read_groups, read_wanted, wanted
from guidance.evaluate.blind.words import bare, canonical, overlap
from guidance.evaluate.probe_prompts import PROMPTS


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("fox", "The Foxes!"), ("horse", "horses"), ("a house", "HOUSES"), ("bus", "buses"),
        ("cherry", "cherries"), ("pie", "pies"), ("tomato", "tomatoes"), ("shoe", "shoes"),
        ("mouse", "mice"), ("glass", "glasses"), ("teddy-bear", "teddy  bears."),
        ("crème brûlée", "creme brulee"), ("octopus", "octopuses"), ("bridge", "bridges"),
        ("fox in the snow", "fox in snow"), ("狐狸", " 狐狸"), ("peach", "peaches"),
    ],
)  # fmt: skip
def test_equal_names(one, other):
    assert canonical(one) == canonical(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("cat", "cart"), ("pot", "teapot"), ("owl", "bowl"), ("hen", "hens house"), ("", "a")],
)
def test_other_names(one, other):
    assert canonical(one) != canonical(other)


def test_articles_and_overlap():
    assert [bare(n) for n in ("a fox", "An owl ", "the sea", "anchor", "a")] == [
        "fox", "owl", "sea", "anchor", "a",
    ]  # fmt: skip
    assert overlap("fox", "fox at sunrise")
    assert overlap("hot air balloon", "balloon")
    assert not overlap("apple", "pineapple")


@pytest.mark.parametrize(
    ("line", "name", "accepted"),
    [
        ("a fox at sunrise", "fox at sunrise", ()),
        ("a fox at sunrise\tfox", "fox", ()),
        ("a fox at sunrise\ta fox | red fox\tvixen", "fox", ("red fox", "vixen")),
        ("a fox at sunrise = fox", "fox", ()),
        ("E = mc2 = formula", "formula", ()),
        ("a fox:2 | fog:-0.5", "fox", ()),
        ("0: a fox | 200: a wolf", "fox", ()),
        ("a [fox (of another tool):1.2]", "[fox (of another tool):1.2]", ()),
    ],
)
def test_prompts_and_their_names(line, name, accepted):
    found = wanted(line)
    assert (found.name, found.accepted) == (name, accepted)
    assert line.startswith(found.prompt)


@pytest.mark.parametrize("line", ["a fox\t|", " = fox"])
def test_half_a_line_is_refused(line):
    with pytest.raises(InputError, match="must be a prompt and behind a tab or ' = ' its name"):
        wanted(line)


def test_a_prompt_without_words_needs_a_name(photo):
    with pytest.raises(InputError, match="has no words: give its name behind a tab or ' = '"):
        wanted(str(photo))
    assert wanted(f"{photo} = noise").name == "noise"


def test_files_of_prompts(tmp_path):
    file = tmp_path / "mine.txt"
    file.write_text("# things\na fox\n\nan owl at night\towl\n")
    assert read_wanted(str(file)) == [Wanted("a fox", "fox"), Wanted("an owl at night", "owl")]
    with pytest.raises(FileError, match=r"mine.tx does not exist; did you mean mine.txt\?"):
        read_wanted(str(tmp_path / "mine.tx"))
    with pytest.raises(InputError, match=r"no file and unknown list 'frsh'; did you mean fresh\?"):
        read_wanted("frsh")


def test_what_there_is_to_choose_from():
    groups = [Group(("boat", "ship")), Group(("tree",), ("palm",)), Group(("apple", "apples")),
              Group(("pear",)), Group(("Pears",)), Group(("vixen", "fox"))]  # fmt: skip
    asked = [Wanted("a sailing boat", "sailing boat"), Wanted("a palm", "palm"),
             Wanted("a fox at sunrise", "fox at sunrise"), Wanted("palms", "palms"),
             Wanted("a pineapple", "pineapple")]  # fmt: skip
    assert choices(asked, groups) == [
        "sailing boat", "palm", "fox at sunrise", "pineapple", "apple", "pear",
    ]  # fmt: skip


def test_other_words_for_a_name_are_right():
    groups = [Group(("bicycle", "bike"), ("tricycle",))]
    (found,) = lists.with_synonyms([Wanted("bikes", "bikes", ("velo",))], groups)
    assert found == Wanted("bikes", "bikes", ("velo", "bicycle"))
    assert choices([found], groups) == ["bikes"]


def test_no_name_of_the_everyday_list_is_another_answer():
    groups = read_groups("everyday")
    assert 40 <= len(groups) <= 60
    for own in groups:
        names = choices([Wanted(own.names[0], own.names[0])], groups)
        others = {canonical(n) for n in names[1:]}
        assert not others & {canonical(n) for n in (*own.names, *own.near)}, own
        assert len(others) > 30


def test_the_fresh_list():
    """Fixed before any training that is judged by it: none of it may change or be tuned on."""
    fresh = read_wanted("fresh")
    assert [w.name for w in fresh] == [
        "cow", "pig", "sheep", "rabbit", "giraffe", "owl", "duck", "frog", "turtle", "crab",
        "bicycle", "sailing boat", "helicopter", "bridge", "chair", "clock", "tree", "apple",
        "teapot", "snowman",
    ]  # fmt: skip
    groups = read_groups(lists.companion(["fresh"]))
    names = choices(lists.with_synonyms(fresh, groups), groups)
    assert names[:20] == [w.name for w in fresh]
    assert len(names) == len(groups) == 45


def test_nothing_shown_elsewhere_is_in_the_fresh_list():
    """Neither what the probe draws nor what a page asks for in an example."""
    shown = list(PROMPTS)
    for technique in ("clipdraw", "diffusion", "pixels"):
        shown += [shlex.split(command)[0] for command in commands(f"guidance.{technique}")]
    for w in read_wanted("fresh"):
        assert not [s for s in shown if overlap(canonical(w.name), canonical(s))], w.prompt


def test_lists_go_into_the_wheel():
    text = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    (line,) = [row for row in text.splitlines() if row.startswith('"guidance.evaluate.blind"')]
    assert ast.literal_eval(line.partition(" = ")[2]) == ["lists/*.txt"]
