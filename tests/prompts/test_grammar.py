"""The prompt grammar: every string users bring from other tools, kinds of prompts, round trips."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from guidance.errors import PromptError
from guidance.prompts.grammar import Prompt, check_steps, format_prompts, parse_prompts

pytestmark = pytest.mark.usefixtures("picture_folder")

INF = -math.inf


def text(content, weight=1.0, stop=INF, **more):
    return Prompt(content, weight, stop, **more)


def image(path, weight=1.0, stop=INF):
    return Prompt(path, weight, stop, "image")


ACCEPTED = [
    # this package's own examples
    ("a fox at sunrise", [text("a fox at sunrise")]),
    ("a fox:2", [text("a fox", 2)]),
    ("a fox:1:0.4", [text("a fox", 1, 0.4)]),
    ("text:-1", [text("text", -1)]),
    ("0: a fox | 200: a wolf", [text("a fox", end=200), text("a wolf", start=200)]),
    ("photo.png:0.5 | PIC.JPG", [image("photo.png", 0.5), image("PIC.JPG")]),
    # VQGAN-CLIP
    ("a painting of an apple|photo:-1", [text("a painting of an apple"), text("photo", -1)]),
    ("A cute, smiling, Nerdy Rodent", [text("A cute, smiling, Nerdy Rodent")]),
    ("sky:1:-inf", [text("sky")]),  # its spelt-out default
    ("a fox: 2", [text("a fox", 2)]),
    # vqgan-clip-app
    ("a cat:100 | photo:-30", [text("a cat", 100), text("photo", -30)]),
    # pytti
    (
        "Feathered dinosaurs|birds:1:0.87|scales:-1:-.9|text:-1:-.9",
        [
            text("Feathered dinosaurs"),
            text("birds", 1, 0.87),
            text("scales", -1, -0.9),
            text("text", -1, -0.9),
        ],
    ),
    (
        "[artist signature.png]:-1:-.95|fractal clouds",
        [image("artist signature.png", -1, -0.95), text("fractal clouds")],
    ),
    ("dragon_baby", [text("dragon_baby")]),  # a mask only after a number or before a bracket
    # pixray
    ("Star Wars: a city", [text("Star Wars: a city")]),
    ("Star Wars: a city:2", [text("Star Wars: a city", 2)]),
    ("red->rust\\8", [text("red->rust\\8")]),  # a palette, harmless as text
    # aphantasia
    ("good :1 | bad :-0.5", [text("good"), text("bad", -0.5)]),
    # disco-diffusion
    (
        '{0: ["a lighthouse:3", "storm:-1"], 100: ["calm"]}',
        [text("a lighthouse", 3, end=100), text("storm", -1, end=100), text("calm", start=100)],
    ),
    (
        '{"0": "a | b:2", "100": ["c"]}',
        [text("a", end=100), text("b", 2, end=100), text("c", start=100)],
    ),
    (r"{0: ['a\|b'], 5: ('c',)}", [text("a|b", end=5), text("c", start=5)]),
    # colons that are text
    ("ratio 3:2", [text("ratio 3:2")]),
    ("ratio 3:2 :5", [text("ratio 3:2", 5)]),
    ("ratio 3:2:1", [text("ratio 3:2:1")]),
    ("ratio 16:9:-0.5:-1", [text("ratio 16:9", -0.5, -1)]),
    ("12:30", [text("12:30")]),
    ("12:30 at night", [text("12:30 at night")]),
    ("12:30pm:2", [text("12:30pm", 2)]),
    ("3:10 to Yuma", [text("3:10 to Yuma")]),
    ("Blade Runner 2049:1.5", [text("Blade Runner 2049", 1.5)]),
    ("route 66:-1", [text("route 66", -1)]),
    ("route 66 :2", [text("route 66", 2)]),
    ("colour: t", [text("colour: t")]),
    ("to: infinity", [text("to: infinity")]),
    ("a fox:", [text("a fox:")]),
    ("狐狸：2", [text("狐狸：2")]),  # a full-width colon is no colon
    (": a", [text(": a")]),
    # numbers
    ("a:.5", [text("a", 0.5)]),
    ("a:-.9", [text("a", -0.9)]),
    ("a:1e-2", [text("a", 0.01)]),
    ("a:+2", [text("a", 2)]),
    ("a:2.", [text("a", 2)]),
    ("a:1:0", [text("a", 1, 0.0)]),
    ("a:1,5", [text("a:1,5")]),
    # escapes
    (r"a fox\:2", [text("a fox:2")]),
    (r"a \| b \^ c", [text("a | b ^ c")]),
    (r"\[photo.png] here", [text("[photo.png] here")]),
    (r"a\\:2", [text("a\\", 2)]),
    (r"C:\dir\fox", [text(r"C:\dir\fox")]),
    (r"100\: a fox", [text("100: a fox")]),
    (r"b\|c.png", [image("b|c.png")]),
    (r"[a[1\].png]", [image("a[1].png")]),
    ("a[1].png", [image("a[1].png")]),
    # images
    ("[ photo.png ] : 2", [image("photo.png", 2)]),
    ("[plain]", [image("plain")]),
    ("artist signature.png:2", [image("artist signature.png", 2)]),
    ("a file named fox.png", [text("a file named fox.png")]),  # spaces, and no such file
    # schedules
    (
        "ink | 0: a | b:2 | 10: c",
        [text("ink"), text("a", end=10), text("b", 2, end=10), text("c", start=10)],
    ),
    (
        "ink | 50-80: a | b | 100-: c",
        [
            text("ink"),
            text("a", start=50, end=80),
            text("b", start=50, end=80),
            text("c", start=100),
        ],
    ),
    (
        "0: a | 5-8: b | 10: c",
        [text("a", end=10), text("b", start=5, end=8), text("c", start=10)],
    ),
    ("0 : a:2 | 7 : b", [text("a", 2, end=7), text("b", start=7)]),
    ("0: 12:30 | 9: ratio 3:2 :2", [text("12:30", end=9), text("ratio 3:2", 2, start=9)]),
    # other text
    ("🦊 in 🌲:2", [text("🦊 in 🌲", 2)]),
    ("日出时的狐狸:2", [text("日出时的狐狸", 2)]),
    ("👩‍🎨:-1", [text("👩‍🎨", -1)]),
    ("\ufeff a\tfox\r\nruns \n", [text("a fox  runs")]),
    ("{fox}", [text("{fox}")]),
    ("{__import__('os').getcwd(): 'a'}", [text("{__import__('os').getcwd(): 'a'}")]),
]


@pytest.mark.parametrize(("given", "expected"), ACCEPTED, ids=lambda v: str(v)[:30])
def test_accepted(given, expected):
    found = parse_prompts(given)
    assert list(found) == expected
    assert parse_prompts(format_prompts(found)) == found


@pytest.mark.parametrize("given", ["a | b ^ c:2", "a | b || c:2", "a|b^c:2"])
def test_scenes(given):
    assert parse_prompts(given, every=10) == (
        text("a", end=10),
        text("b", end=10),
        text("c", 2, start=10),
    )


@pytest.mark.parametrize(
    ("given", "message"),
    [("a ||| b", "empty"), ("a ^", "empty"), ("|| a", "empty"), ("0: a ^ b", "cannot be combined")],
)
def test_bad_scenes(given, message):
    with pytest.raises(PromptError, match=message):
        parse_prompts(given, every=10)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "5"])
def test_every_must_be_a_positive_whole_number(every):
    with pytest.raises(PromptError, match="--change-every must be a whole number"):
        parse_prompts("a ^ b", every=every)


def test_kinds_of_arguments():
    schedule = {0: ["a lighthouse:3", "storm:-1"], 100: "calm"}
    assert parse_prompts(schedule) == parse_prompts(str(schedule))
    assert parse_prompts(schedule) == parse_prompts(json.dumps({0: schedule[0], 100: "calm"}))
    assert parse_prompts(json.dumps({0: "🦊"})) == (text("🦊"),)
    assert parse_prompts(["sky", "100: a fox"]) == (text("sky"), text("a fox", start=100))
    ready = Prompt("a", 0.5)
    assert parse_prompts([ready, "b"]) == (ready, text("b"))
    assert parse_prompts(ready) == (ready,)
    assert parse_prompts((), negative=["fog"]) == (text("fog", -1),)
    for wrong in (5, None, b"a", [["a"]], [b"a"], [None], {0: 5}, {True: "a"}, {-1: "a"}, {}):
        with pytest.raises(PromptError, match=r"must (be|hold|not be)"):
            parse_prompts(wrong)
    with pytest.raises(PromptError, match="a prompt is needed"):
        parse_prompts([])


def test_negatives_flip_weight_and_stop():
    found = parse_prompts("a", negative=["fog", "mist:0.3", "rain:2:0.5 | [photo.png]"])
    assert found[1:] == (
        text("fog", -1),
        text("mist", -0.3),
        text("rain", -2, -0.5),
        image("photo.png", -1),
    )
    with pytest.raises(PromptError, match="must not have a negative weight but is 'fog:-1'"):
        parse_prompts("a", negative=["fog:-1"])


def test_images_of_the_image_argument():
    names = ["photo.png:0.5", "[PIC.JPG]:-1:-.2", Path("photo.png"), "plain | a[1].png:2"]
    assert parse_prompts((), image=names) == (
        image("photo.png", 0.5),
        image("PIC.JPG", -1, -0.2),
        image("photo.png"),
        image("plain"),
        image("a[1].png", 2),
    )
    for wrong in ("fox", Path("no.png"), "http://example.org/a.png"):
        with pytest.raises(PromptError, match=r"does not exist|download"):
            parse_prompts("a", image=[wrong])


def test_noise():
    expected = (Prompt("123", 0.1, kind="noise"), Prompt("234", 0.2, kind="noise"))
    assert parse_prompts(noise="123:0.1|234:0.2") == expected  # vqgan-clip-generator
    assert parse_prompts(noise=[7, "007"])[0] == parse_prompts(noise="[noise 7]")[0]
    for wrong in ("x:1", "1.5", "-1", -1, str(2**63)):
        with pytest.raises(PromptError, match="a noise seed must be from 0"):
            parse_prompts(noise=[wrong])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": 5}, "must be text but is int"),
        ({"text": "photo.png"}, "name of an image file"),
        ({"text": "a", "kind": "sound"}, "kind must be"),
        ({"text": "a", "weight": "2"}, "weight must be a number"),
        ({"text": "a", "weight": 10**400}, "but is too large"),
        ({"text": "a", "stop": None}, "stop must be a number"),
        ({"text": "a", "start": -1}, "start must be a step"),
        ({"text": "a", "start": 1.0}, "start must be a step"),
        ({"text": "a", "start": 5, "end": 5}, "end must come after start"),
        ({"text": " \n"}, "must not be empty"),
    ],
)
def test_prompts_built_by_hand_are_checked(arguments, message):
    with pytest.raises(PromptError, match=message):
        Prompt(**arguments)


def test_active_is_half_open():
    prompt = Prompt("a", start=2, end=4)
    assert [prompt.active(i) for i in range(6)] == [False, False, True, True, False, False]
    assert Prompt("a").active(10**9)


def test_check_steps():
    check_steps(parse_prompts("0: a | 100: b"), 101)
    with pytest.raises(PromptError, match="starts at step 100 but the run has 100 steps"):
        check_steps(parse_prompts("0: a | 100: b"), 100)
    with pytest.raises(PromptError, match="no prompt applies at step 20"):
        check_steps(parse_prompts("0-20: a | 30-: b"), 100)
    with pytest.raises(PromptError, match="no prompt applies at step 0"):
        check_steps([Prompt("a", start=3)], 100)
