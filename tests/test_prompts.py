"""The prompt grammar: every example of the tools it comes from, errors, round trip."""

from __future__ import annotations

import math
import random
import time

import pytest
from PIL import Image

from guidance.errors import PromptError
from guidance.prompts import Prompt, parse_prompts, slug

INF = -math.inf

# text → [(text, weight, stop)]; the tool whose documentation or users write it
ACCEPTED = [
    ("a fox at sunrise", [("a fox at sunrise", 1, INF)]),
    ("a fox:2", [("a fox", 2, INF)]),  # VQGAN-CLIP
    ("a fox:1:0.4", [("a fox", 1, 0.4)]),  # VQGAN-CLIP: text:weight:stop
    ("text:-1", [("text", -1, INF)]),
    ("birds:1:0.87", [("birds", 1, 0.87)]),  # pytti
    ("scales:-1:-.9", [("scales", -1, -0.9)]),  # pytti: the stop has the weight's sign
    ("good :1 | bad :-0.5", [("good", 1, INF), ("bad", -0.5, INF)]),  # aphantasia
    ("mountain:100 | tree:-30", [("mountain", 100, INF), ("tree", -30, INF)]),  # vqgan-clip-app
    ("a lighthouse:3", [("a lighthouse", 3, INF)]),  # disco-diffusion
    ("a|b", [("a", 1, INF), ("b", 1, INF)]),
    ("Star Wars: a city", [("Star Wars: a city", 1, INF)]),  # pixray's colon-safe titles
    ("Star Wars: a city:2", [("Star Wars: a city", 2, INF)]),
    ("ratio 3:2", [("ratio 3:2", 1, INF)]),
    ("ratio 3:2 :5", [("ratio 3:2", 5, INF)]),
    ("12:30 at night", [("12:30 at night", 1, INF)]),
    ("3:10 to Yuma", [("3:10 to Yuma", 1, INF)]),
    ("Blade Runner 2049:1.5", [("Blade Runner 2049", 1.5, INF)]),
    ("route 66:-1", [("route 66", -1, INF)]),
    ("a fox:.5", [("a fox", 0.5, INF)]),
    ("a fox:1e-2", [("a fox", 0.01, INF)]),
    ("a fox:+2", [("a fox", 2, INF)]),
    ("a fox:0", [("a fox", 0, INF)]),
    ("a fox:sin(t)", [("a fox:sin(t)", 1, INF)]),  # pytti's functions of t are not evaluated
    ("a fox:", [("a fox:", 1, INF)]),
    (r"a fox\:2", [("a fox:2", 1, INF)]),
    (r"this \| that", [("this | that", 1, INF)]),
    ("日出时的狐狸:2", [("日出时的狐狸", 2, INF)]),
    ("🦊", [("🦊", 1, INF)]),
    ("photo of x.png files", [("photo of x.png files", 1, INF)]),
    ("a\tfox\n", [("a fox", 1, INF)]),
]

REFUSED = [
    ("", "must not be empty"),
    ("  \n", "must not be empty"),
    ("a | | b", "between two bars"),
    ("a |", "between two bars"),
    (":5", "no text"),
    ("a:1:2:3", "more numbers"),
    ("a:nan", "finite"),
    ("a:1:inf", "finite"),
    ("scales:-1:.9", "sign"),
    ("2:golden retriever", "'golden retriever:2' for a weight"),  # rclip's prefix form
    ("0: (1.0), 50: (1.05)", "keyframe"),  # disco-diffusion's zoom strings
    ("text_[mask.png]", "region"),  # pytti
    ("sky_[-mask.mp4]", "region"),
    ("sky:1_clouds", "region"),
    ("[photo.png", "not closed"),
    ("[photo.png]", "'photo.png' does not exist"),
    ("photo.png", "'photo.png' does not exist"),
    ("photo.png:0.5", "'photo.png' does not exist"),
    ("https://example.org/a.png", "download"),
    ("[https://example.org/a.png]:2", "download"),
    ("100: a fox", "start with '0: ...'"),
    ("0: a | 0: b", "must increase"),
    ("0: a | 200: b | 100: c", "must increase"),
    ("{0: a fox}", "must look like"),
    ("{'x': ['a fox']}", "whole number"),
    ("{__import__('os').getcwd(): 'a'}", "must look like"),
    ("a ^ b", "--change-every"),
    ("a || b", "--change-every"),
    ("a ^ ", "is empty"),
    ("a\0b", "NUL"),
]


@pytest.mark.parametrize(("text", "expected"), ACCEPTED)
def test_accepted(text, expected):
    assert [(p.text, p.weight, p.stop) for p in parse_prompts(text)] == expected


@pytest.mark.parametrize(("text", "message"), REFUSED)
def test_refused_with_the_reason(text, message):
    with pytest.raises(PromptError) as caught:
        parse_prompts(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def spans(text, **options):
    return [(p.text, p.start, p.end) for p in parse_prompts(text, **options)]


def test_schedules():
    assert spans("0: a fox | 200: a wolf") == [("a fox", 0, 200), ("a wolf", 200, None)]
    assert spans("0: a | b | 10: c") == [("a", 0, 10), ("b", 0, 10), ("c", 10, None)]
    assert spans("ink | 5: a") == [("ink", 0, None), ("a", 5, None)]
    assert spans({0: ["a", "b:2"], 50: "c"}) == [("a", 0, 50), ("b", 0, 50), ("c", 50, None)]
    assert spans('{"0": ["a lighthouse:3", "storm:-1"], "100": ["calm"]}') == [
        ("a lighthouse", 0, 100),
        ("storm", 0, 100),
        ("calm", 100, None),
    ]


@pytest.mark.parametrize("text", ["a | b ^ c ^ d", "a | b || c || d"])
def test_stories(text):
    assert spans(text, every=10) == [("a", 0, 10), ("b", 0, 10), ("c", 10, 20), ("d", 20, None)]


def test_active_is_half_open():
    prompt = Prompt("a", start=2, end=4)
    assert [prompt.active(i) for i in range(6)] == [False, False, True, True, False, False]
    assert Prompt("a").active(10**9)


def test_negatives_flip_weight_and_stop():
    prompts = parse_prompts("a", negative=["fog", "mist:0.3", "rain:2:0.5 | snow"])
    assert [(p.text, p.weight, p.stop) for p in prompts[1:]] == [
        ("fog", -1, INF),
        ("mist", -0.3, INF),
        ("rain", -2, -0.5),
        ("snow", -1, INF),
    ]
    with pytest.raises(PromptError, match="negative weight"):
        parse_prompts("a", negative=["fog:-1"])


def test_images(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("photo.png", "my photo.jpg", "other"):
        Image.new("RGB", (8, 8)).save(name, "PNG")
    texts = "photo.png:0.5 | my photo.jpg | [other]:-1:-.2 | a fox"
    assert [(p.text, p.kind, p.weight, p.stop) for p in parse_prompts(texts)] == [
        ("photo.png", "image", 0.5, INF),
        ("my photo.jpg", "image", 1, INF),
        ("other", "image", -1, -0.2),
        ("a fox", "text", 1, INF),
    ]
    assert parse_prompts("a", image=["other:0.5"])[1] == Prompt("other", 0.5, kind="image")


def test_noise():
    prompts = parse_prompts("a", noise=["123:0.1|234:0.2", "7"])[1:]
    assert [(p.text, p.weight, p.kind) for p in prompts] == [
        ("123", 0.1, "noise"),
        ("234", 0.2, "noise"),
        ("7", 1, "noise"),
    ]
    with pytest.raises(PromptError, match="SEED:WEIGHT"):
        parse_prompts("a", noise=["x:1"])


def test_text_round_trips():
    chance = random.Random(0)
    alphabet = "ab1 2:|^[]\\.,-+_({é狐🦊"
    for _ in range(500):
        text = "".join(chance.choice(alphabet) for _ in range(chance.randint(1, 12))).strip()
        prompt = Prompt(text or "x", chance.choice([1.0, -0.5, 2.0, 1e-3]))
        if str(prompt).startswith("{") or prompt.text.endswith("]"):
            continue
        assert parse_prompts(str(prompt)) == (prompt,)


def test_long_prompts_take_linear_time():
    started = time.perf_counter()
    for text in ("fox " * 50_000, "fox:1 " * 50_000, "a" * 10**6 + ":", "a" + " " * 10**5 + "b"):
        assert len(parse_prompts(text)) == 1
    assert time.perf_counter() - started < 10


def test_slugs():
    assert slug("A fox, at sunrise!") == "a-fox-at-sunrise"
    assert slug("日出时的狐狸") == "日出时的狐狸"
    assert slug("🦊").startswith("prompt-")
    assert slug("🦊") != slug("🐺")
    assert slug("con") == "prompt-con"
    assert len(slug("word " * 5000)) <= 48
    assert slug("../../etc/passwd") == "etc-passwd"
    assert not slug("a fox at sunrise and more words so it is cut.... here").endswith("-")
