"""3,000 odd prompts: each is refused by the package's own exception or survives a round trip."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator

import pytest

from guidance.errors import InputError
from guidance.prompts.grammar import format_prompts, parse_prompts
from guidance.prompts.slug import run_name
from guidance.prompts.story import cross_fade, tell
from guidance.prompts.subject import with_subjects

LENGTH = 100_000  # characters of the long ones
SLOWEST = 2.0  # seconds of CPU time; a quadratic pattern takes minutes
PIECES = (
    "a fox", "a fox at sunrise, oil on canvas", "forest", "ratio 3:2", "12:30",
    "Star Wars: a city", "Route 66 ", "2", "0: ", "200: ", "50-80: ", "50-: ", "80-50: ", "|",
    "||", "^", ":", ":2", ":-0.5", ":0.4", ":-1:-.9", ":1e3", ":1e999", ":1e-400", ":nan", ":inf",
    ":1:2:3", ":0", ":-0", ":1000.0001", ":5:4.9", ":+3", ": 2", "[", "]", "[]", "[noise 5]",
    "[noise 99999999999999999999999]", "[photo.png]", "photo.png", "a.png/", "~/x.png",
    "~nobody/x.png", "C:\\x.png", "http://x/y.png", "_[mask.png]", ":1_m.png", ":t*2", ":sin(t)",
    "(1.0)", "0: (1.0), 50: (1.05)", ",200: b", "2:fox", "\\", "\\|", "\\\\:", "\\^", "\\[", "{",
    "}", "{0: 'a'}", '{0: "a", 200: ["b:2"]}', "{0: {", "'", '"', "-", " ", "\t", "\n", "\0",
    "\x1b", "\x85", "\u2028", "\ud800", "\udc80", "\ufdd0", "\ufffe", "\ufeff", "\u200b",
    "\u2060", "\u3164", "\u202e", "\u2067\u05e9\u05dc\u05d5\u05dd", "\u0645\u0631:2", "\u72d0",
    "\U0001f98a", "\U0001f468\u200d\U0001f469", "\U000e0041", "e\u0301", "\u0663", ":\u0663",
    "\xb2", "!", "%s", "%", "_", ",", "/", "~",
)  # fmt: skip


def small(chance: random.Random) -> str:
    """Return some pieces of the grammar in a row, or one prompt changed at a place or two."""
    if chance.random() < 0.7:
        count = chance.choice((1, 2, 3, 4, 6, 9, 15, 30))
        return "".join(chance.choice(PIECES) + chance.choice(("", "", " ")) for _ in range(count))
    text = "0: a fox:2:0.4 | ratio 3:2:-1 | 50-80: [noise 3]:0.5 | 100: Star Wars: a city"
    for _ in range(chance.choice((1, 2, 3))):
        a = chance.randrange(len(text))
        b = min(len(text), a + chance.choice((0, 0, 1, 3, 20)))
        text = text[:a] + chance.choice((*PIECES, text[b:])) + text[b:]
    return text


def large(chance: random.Random) -> str:
    """Return a long text out of few pieces."""
    parts = [chance.choice(PIECES) for _ in range(chance.choice((1, 2, 3)))]
    if chance.random() < 0.3:  # nested
        return "".join(
            p * (LENGTH // (2 * len(p))) for p in (chance.choice("[{("), chance.choice("]})"))
        )
    joined = "".join(parts) if chance.random() < 0.5 else ""
    if joined:
        text = joined * (LENGTH // len(joined))
    else:
        text = "".join(p * (LENGTH // (len(parts) * len(p))) for p in parts)
    return chance.choice(("", "a", "{0: ", "0: ")) + text + chance.choice(("", ":2", "a", " | b"))


def prompts() -> Iterator[str]:
    chance = random.Random(21)
    for _ in range(2900):
        yield small(chance)
    for _ in range(100):
        yield large(chance)


def go_on(text: str, parsed: tuple, chance: random.Random) -> None:
    """Do with a prompt that was accepted what a run does with it."""
    found = with_subjects(parsed, 0.25)
    assert found[: len(parsed)] == parsed
    name = run_name("clipdraw", [prompt.text for prompt in parsed], 0)
    assert len(name.encode()) < 80
    assert "/" not in name
    whole = tell(
        text, prefix=chance.choice(("", "the sea", "ink | ")), suffix=chance.choice(("", ", oil"))
    )
    for prompt in cross_fade(parse_prompts(whole, every=7), 5, 40):
        for step in (0, 6, 39):
            assert abs(prompt.weight_at(step)) <= abs(prompt.weight)


def test_three_thousand_prompts():
    chance, slow, said, accepted = random.Random(22), [], [], 0
    for text in prompts():
        every = chance.choice((None, 7))
        begin = time.process_time()
        try:
            parsed = parse_prompts(text, every=every)
        except InputError as error:
            said.append(str(error))
        else:
            accepted += 1
            again = parse_prompts(format_prompts(parsed), every=every)
            assert again == parsed, repr(text[:200])
        slow.append((time.process_time() - begin, text[:60]))
        if len(text) < 1000:
            try:
                go_on(text, parse_prompts(text, every=7), chance)
            except InputError as error:
                said.append(str(error))
    assert len(slow) == 3000
    assert not [line for line in said if "\n" in line or len(line) > 999]
    assert accepted > 700
    assert max(slow)[0] < SLOWEST, max(slow)


@pytest.mark.parametrize("source", [None, 3, 1.5, b"a", object, [["a"]], [None], [3], {"x": "a"},
                                    {0: None}, {0: [[]]}, {0: []}, {}, [], (), {-1: "a"},
                                    {True: "a"},
                                    {10**20: "a"}, {0: "a", 1.5: "b"}, {None: "a"},
                                    [b"a"], {0: {"a": 1}}, range(3), {1, 2}], ids=repr)  # fmt: skip
def test_what_is_no_text_is_refused(source):
    with pytest.raises(InputError) as caught:
        parse_prompts(source)
    assert "\n" not in str(caught.value)
