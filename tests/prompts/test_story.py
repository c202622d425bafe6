"""Stories: scenes, their lengths, cross-fades, and what they do to a run."""

from __future__ import annotations

import dataclasses
import doctest
from dataclasses import replace

import pytest
import torch

from guidance.clip.scorer import ClipScorer
from guidance.clipdraw import ClipDrawOptions
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.options import from_table
from guidance.command.runner import command
from guidance.errors import InputError, PromptError
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.prompted import PromptObjective
from guidance.prompts import story as module
from guidance.prompts.grammar import Prompt, parse_prompts
from guidance.prompts.story import cross_fade, said_once, scene_steps, tell

SMALL = ["--strokes", "8", "--size", "48", "--render-size", "48", "--cuts", "4",
         "--video", "none", "-q"]  # fmt: skip


def options(prompt: str = "dawn", **more: object) -> ClipDrawOptions:
    return ClipDrawOptions(prompt=prompt, subject=0, **more)


def spans(prompts) -> list[tuple[str, int, int | None]]:
    return [(p.text, p.start, p.end) for p in prompts]


def test_examples():
    result = doctest.testmod(module)
    assert result.attempted > 3
    assert not result.failed


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("dawn", None),
        (r"a \^ b", None),
        (r"a \|| b", None),
        ("a | b", None),
        ("dawn ^ noon", 50),
        ("dawn || noon ^ night", 33),
        ("a ^ b ^ c ^ d:2 | e", 25),
    ],
)
def test_scenes_share_the_steps(text, expected):
    assert scene_steps(text, 100) == expected


def test_a_scene_has_at_least_a_step():
    assert scene_steps("a ^ b ^ c", 3) == 1
    with pytest.raises(PromptError, match="3 scenes needs at least 3 steps but the run has 2"):
        scene_steps("a ^ b ^ c", 2)
    assert scene_steps("a ^ b ^ c", 100, every=40) == 40
    with pytest.raises(PromptError, match="--change-every 50 the last of 3 scenes begins at step"):
        scene_steps("a ^ b ^ c", 100, every=50)


def test_a_name_says_once_what_stays_in_every_scene():
    def names(prompt: str, prefix: str = "", suffix: str = "") -> list[str]:
        told = parse_prompts(tell(prompt, prefix=prefix, suffix=suffix), every=1)
        return said_once([p.text for p in told], prefix, suffix)

    assert names("at dawn ^ at noon", "the sea") == ["the sea at dawn", "at noon"]
    assert names("a ^ b:2", "ink:0.5 | the sea") == ["ink", "the sea a", "b"]
    assert names("a ^ b", "", ", in oil:2") == ["a, in oil", "b"]
    assert names("a ^ b", "the sea ", " in oil:2:0.3 | fog:-1") == ["the sea a in oil", "fog", "b"]
    assert names("the sea ^ the sea") == ["the sea"]
    assert names("a | fog ^ b", "x") == ["x a", "fog", "b"]


def test_story_options_say_what_the_grammar_says():
    written = options("dawn | ink ^ noon:2 ^ night", steps=10, change_every=3).prompts()
    told = options("dawn | ink", story=("noon:2", "night"), steps=10).prompts()
    assert told == written
    assert spans(told) == [("dawn", 0, 3), ("ink", 0, 3), ("noon", 3, 6), ("night", 6, None)]
    assert options("dawn", story=("noon ^ night",), steps=9).prompts()[-1].start == 6


def test_weights_cross_linearly_and_sum_to_one():
    for fade in (1, 2, 7, 100):
        faded = cross_fade(parse_prompts("a ^ b ^ c", every=100), fade, 300)
        weights = torch.tensor([[p.weight_at(step) for p in faded] for step in range(300)])
        torch.testing.assert_close(weights.sum(1), torch.ones(300))
        first = 100 - fade // 2
        rise = (torch.arange(fade) + 0.5) / fade
        torch.testing.assert_close(weights[first : first + fade, 1], rise)
        assert weights[first - 1].tolist() == [1, 0, 0]
        assert weights[first + fade, 0] == 0
        changing = ((weights > 0) & (weights < 1)).any(1).sum()
        assert changing == 2 * fade


def test_a_fade_is_no_longer_than_the_scenes_beside_it():
    given = parse_prompts("0: a | 6: b | 100: c")
    faded = cross_fade(given, 20, 200)
    assert [(p.rise, p.fall) for p in faded] == [(0, 6), (6, 20), (20, 0)]
    weights = torch.tensor([[p.weight_at(step) for p in faded] for step in range(200)])
    torch.testing.assert_close(weights.sum(1), torch.ones(200))
    for steps in range(2, 40):  # few steps for a long fade: shorter, and never refused
        few = options("a", story=("b",), fade=40, steps=steps, device="cpu")
        few.check()
        totals = [sum(p.weight_at(step) for p in few.prompts()) for step in range(steps)]
        assert totals == pytest.approx([1] * steps)
    late = cross_fade(parse_prompts("a ^ b", every=80), 21, 100)
    assert (late[0].fall, late[1].rise) == (20, 20)


STAGED = [
    ({"prompt": "at dawn ^ at noon:2", "scene_prefix": "the sea"},
     ["the sea at dawn", "the sea at noon:2"]),
    ({"prompt": "the sea ^ a lake | fog:-1", "scene_suffix": ", in oil"},
     ["the sea, in oil", "a lake", "fog, in oil:-1"]),
    ({"prompt": "dawn:1:0.4", "story": ("12:30",), "scene_suffix": "by the sea"},
     ["dawn by the sea:1:0.4", "12:30 by the sea"]),
    ({"prompt": "dawn || noon", "scene_prefix": "ink:0.5 | "},
     ["ink:0.5", "dawn", "ink:0.5", "noon"]),
    ({"prompt": "dawn:2 ^ noon", "scene_suffix": " | ink:0.5"},
     ["dawn:2", "ink:0.5", "noon", "ink:0.5"]),
    ({"prompt": "dawn ^ noon", "scene_suffix": ":3"}, ["dawn:3", "noon:3"]),
    ({"prompt": r"a\|b ^ c", "scene_prefix": "the", "scene_suffix": "end"},
     [r"the a\|b end", "the c end"]),
    ({"prompt": "dawn", "scene_prefix": "the sea at "}, ["the sea at dawn"]),
]  # fmt: skip


@pytest.mark.parametrize(("values", "expected"), STAGED)
def test_what_stays_is_part_of_every_scene(values, expected):
    plain = [replace(p, start=0, end=None) for p in options(**values).prompts()]
    assert [str(p) for p in plain] == expected


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"prompt": "0: dawn | 9: noon", "scene_prefix": "the sea"}, "not with steps"),
        ({"prompt": '{0: "dawn"}', "scene_prefix": "the sea"}, "not with steps"),
        (
            {"prompt": "[noise 3] ^ noon", "scene_prefix": "the sea"},
            "begins with .\\[noise 3",
        ),
        ({"prompt": "dawn", "scene_prefix": "a ^ b"}, "--scene-prefix must not hold scenes"),
        ({"prompt": "dawn", "scene_suffix": "a || b"}, "--scene-suffix must not hold scenes"),
        ({"prompt": "dawn:2", "scene_suffix": " in oil:3"}, "both end in a weight"),
        ({"prompt": "dawn ^", "scene_prefix": "the sea"}, "a scene must not be empty"),
        ({"prompt": "^", "scene_suffix": "the sea"}, "a scene must not be empty"),
        ({"prompt": "", "scene_prefix": "the sea"}, "must not be empty"),
    ],
)
def test_what_cannot_be_put_around_scenes(values, message):
    with pytest.raises(PromptError, match=message):
        options(**values).prompts()


def test_no_fade_changes_nothing():
    prompts = parse_prompts("a:2 ^ b:-1", every=5)
    assert cross_fade(prompts, 0, 10) == prompts
    assert [prompts[0].weight_at(step) for step in (0, 4, 5)] == [2, 2, 0]


def test_steps_and_negatives_fade_too():
    given = parse_prompts("ink | 0: a | 50: b:2", negative="0-50: fog | 50-: rain")
    faded = cross_fade(given, 10, 100)
    assert faded[0] == given[0]  # it neither ends nor starts at the change
    assert [p.weight_at(50) for p in faded] == pytest.approx([1, 0.45, 1.1, -0.45, -0.55])


def test_an_end_that_nothing_follows_stays_sudden():
    given = parse_prompts("ink | 10-50: fog | 60-80: a | 80-90: b")
    faded = cross_fade(given, 6, 100)
    assert faded[:2] == given[:2]
    assert faded[3].fall == 0
    assert faded[3].rise == 6


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"fade": 10}, "--fade needs a story"),
        ({"fade": -1, "prompt": ""}, "fade must be at least 0"),  # before the prompt's own error
        ({"story": ("noon", " ")}, "entry 2 is empty"),
        (
            {"story": ("noon",), "steps": 1},
            "2 scenes needs at least 2 steps but the run has 1 step",
        ),
        ({"story": ("10: noon",)}, "cannot be combined"),
        ({"story": ("noon",), "change_every": 0}, "--change-every must be"),
    ],
)
def test_bad_stories(values, message):
    with pytest.raises(InputError, match=message):
        options(**({"prompt": "dawn", "device": "cpu"} | values)).check()


@pytest.mark.parametrize("values", [{"rise": -1}, {"rise": 1.5}, {"fall": True}, {"fall": 3}])
def test_bad_fades_of_a_prompt(values):
    with pytest.raises(PromptError, match="must be"):
        Prompt("a", **values)


def test_the_loss_is_the_blend_of_the_scenes(tiny_clip):
    cuts = CutoutOptions(cuts=3, augment=())
    image = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))

    def judge(prompts, step):
        said = PromptObjective(ClipScorer([tiny_clip]), prompts, cuts).evaluate(image, step)
        return float(said.loss), float(said.score)

    a, b = parse_prompts("a fox ^ a wolf:3", every=8)
    faded = cross_fade((a, b), 4, 16)
    for step, share in ((6, 0.125), (7, 0.375), (9, 0.875)):
        one = judge([Prompt("a fox")], step)
        two = judge([Prompt("a wolf")], step)
        weights = (1 - share, 3 * share)
        loss, score = judge(faded, step)
        assert loss == pytest.approx(weights[0] * one[0] + weights[1] * two[0], rel=1e-5)
        mean = (weights[0] * one[1] + weights[1] * two[1]) / sum(weights)
        assert score == pytest.approx(mean, rel=1e-4, abs=1e-6)
    for step in (0, 5, 10, 15):  # outside of the fade nothing differs, bit for bit
        assert judge(faded, step) == judge((a, b), step)


def test_story_round_trips_through_a_table():
    given = options("dawn", story=("noon", "night"), fade=7)
    table = {k: v for k, v in dataclasses.asdict(given).items() if v is not None}
    table |= {k: list(v) for k, v in table.items() if isinstance(v, tuple)}
    assert from_table(ClipDrawOptions, table, "here") == given


def test_a_story_run_repeats_from_its_manifest(tmp_path, tiny_clip_path):
    arguments = ["dawn", *SMALL, "--story", "noon", "--story", "night", "--steps", 12]
    for name, more in (("told", ["--fade", 4]), ("sudden", [])):
        call = [*arguments, *more, "--clip", tiny_clip_path, "-o", tmp_path / name]
        assert command(CLIPDRAW, [str(a) for a in call]) == 0
    again = ["--from", str(tmp_path / "told"), "-o", str(tmp_path / "again")]
    assert command(CLIPDRAW, again) == 0
    told, sudden, repeated = (
        (tmp_path / name / "drawing.svg").read_bytes() for name in ("told", "sudden", "again")
    )
    assert told == repeated != sudden
