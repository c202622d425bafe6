"""Names of run folders: short, of whole words, accepted by every file system."""

from __future__ import annotations

import math
import random
import re

import pytest

from guidance.prompts.grammar import slug

INF = -math.inf


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("A fox, at sunrise!", "a-fox-at-sunrise"),
        ("a fox:2 | storm:-1", "a-fox-2-storm-1"),
        ("日出时的狐狸", "日出时的狐狸"),
        ("Лиса на рассвете, й", "лиса-на-рассвете-й"),
        ("Łódź, Ærø, naïve cafe\u0301", "lodz-aero-naive-cafe"),
        ("Van Gogh's stars", "van-goghs-stars"),
        ("🦊", "fox-face"),
        ("👩‍🎨", "woman-artist-palette"),
        ("", "prompt"),
        ("\udcff", "prompt"),
        ("con", "con-prompt"),
        ("COM1.", "com1-prompt"),
        ("../../etc/passwd", "etc-passwd"),
        ("ends with dots...", "ends-with-dots"),
        ("½ pint", "1-2-pint"),
    ],
)
def test_slugs(given, expected):
    assert slug(given) == expected


def test_slugs_are_short_and_keep_whole_words():
    assert slug("word " * 5000) == "word-" * 8 + "word"
    assert slug("w" * 5000) == "w" * 48
    assert slug("狐" * 5000) == "狐" * 16
    assert slug("a fox and a wolf", max_length=16) == "a-fox-and-a-wolf"
    assert slug("a fox and a wolfhound", max_length=16) == "a-fox-and-a"
    chance = random.Random(0)
    for _ in range(2000):
        name = slug("".join(chr(chance.randrange(0x3000)) for _ in range(chance.randrange(60))))
        assert 0 < len(name.encode()) <= 48
        assert not re.search(r'[\x00-\x20<>:"/\\|?*.A-Z]', name)
        assert name == slug(name)
    with pytest.raises(ValueError, match="max_length must be at least 16"):
        slug("a", max_length=3)
