"""Prompts that are refused, with the reason."""

from pathlib import Path

import pytest
from picture_files import HEIC
from PIL import Image

from guidance.errors import PromptError
from guidance.prompts.grammar import parse_prompts

pytestmark = pytest.mark.usefixtures("picture_folder")


REFUSED = [
    ("^", "a scene must not be empty: '^' and '||' need a prompt before and after them"),
    (" || ", "a scene must not be empty"),
    ("\u200b", "must not be empty but has only invisible characters (U+200B)"),
    ("a fox | \u2060\u3164:2", "has only invisible characters (U+2060)"),
    ("\u00ad\ufe0f ^ b", "a scene must not be empty"),
    # empty
    ("", "must not be empty (column 1"),
    ("  \n", "must not be empty"),
    ("a | | b", "must not be empty: remove the '|'"),
    ("a |", "must not be empty"),
    ("| a", "must not be empty"),
    ("0: | 5: b", "must not be empty"),
    ("0: a | 5:", "must not be empty"),
    (":5", "must not be empty"),
    ("[]:2", "must not be empty"),
    ("{0: []}", "at least one prompt"),
    # numbers
    ("a fox:0", "not 0 but is 0"),
    ("a:nan", "but is nan"),
    ("a:-inf", "but is -inf"),
    ("a:1e999", "but is inf"),
    ("Blade Runner: 2049", r"but is 2049; write '\:'"),
    ("a:1:nan", "stop must be a distance within ±4.93 but is nan"),
    ("a:1:inf", "stop must be a distance"),
    ("a:1:5", "stop must be a distance within ±4.93 but is 5"),
    ("scales:-1:.9", "stop of a negative weight must be negative but is 0.9"),
    ("scales:1:-.9", "stop of a positive weight must be positive"),
    ("scales:-1:0", "stop of a negative weight must be negative"),
    ("a:1 :2 :3", "but 3 numbers do"),
    # rclip: the weight first
    ("2:golden retriever", "'golden retriever:2' for a weight, '2: golden retriever' for a step"),
    ("0:a fox | 200:a wolf", "'0: a fox' for a step"),
    ("-0.5:fog:2", "ambiguous"),
    # pytti: functions of t, masks, URLs
    ("a:sin(t)", "weight or stop must be a number but is 'sin(t)'"),
    ("a:2*t:0.5", "is '2*t'"),
    ("a:1:-t", "is '-t'"),
    ("[photo.png]:t", "is 't'"),
    ("text_[mask.png]", "masks are not supported"),
    ("sunlight:3_[mask.mp4]|midnight:3_[-mask.mp4]", "masks are not supported"),
    ("Khaleesi | mother of dragons | dragon:3_baby", "masks are not supported"),
    ("a house:1:0.4_semantic phrase", "masks are not supported"),
    ("[https://i.redd.it/ewpeykozy7e71.png]:3", "download the image"),
    ("https://example.org/a fox.png", "download the image"),
    ("first scene || second scene", "--change-every"),
    ("^_^", r"write '\^'"),
    # disco-diffusion: keyframes
    ("0: (1.0), 50: (1.05)", "keyframes"),
    ("0:(1), 10:(1.05)", "ambiguous"),
    ('{0: ["a lighthouse:3", "storm:-1"], 100: [...]}', "step 100 must hold a prompt or a list"),
    ("{0: a fox}", "must be written like"),
    ("{0: 'a', 1: 'b'", "must be written like"),
    ("{0: f('a')}", "must be written like"),
    ("{'x': ['a fox']}", "whole number from 0 to 1000000000 but is x"),
    ('{"0": "a", "0": "b"}', "must increase but 0 follows 0"),
    ("{0: 'a', 0: 'b'}", "must increase"),
    ("{0: 'a ^ b'}", "cannot hold scenes"),
    ("{0: '5: b'}", "cannot hold another"),
    # schedules
    ("0: a fox, 200: a wolf", "separated by '|'"),
    ("100: a fox", "no prompt applies before step 100; start with '0: '"),
    ("1984: a novel", r"or write '1984\: '"),
    ("0: a | 0: b", "must increase but 0 follows 0"),
    ("0: a | 200: b | 100: c", "must increase but 100 follows 200 (column 17"),
    ("5-5: a", "END after START"),
    ("99999999999: a", "but is 99999999999"),
    ("9" * 5000 + ": a", "whole number"),
    # images
    ("[photo.png", "not closed"),
    ("[b|c.png]", "not closed before the next '|'"),
    ("[photo.png] dancing", "after ']'"),
    ("[photo.png]_sky", "after ']'"),
    ("[no.png]", "'no.png' does not exist"),
    ("[a fox]", r"does not exist (in ordinary text write '\[')"),
    ("no.png", "'no.png' does not exist (column 1 of prompt 'no.png')"),
    ("a fox | no.webp:0.5", "'no.webp' does not exist (column 9"),
    ("dir/no.JPEG:2", "does not exist"),
    ("[folder.png]", "is a folder"),
    ("x" * 5000 + ".png", "does not exist"),
    # characters
    ("a\0b", "contains a NUL (column 2"),
    ("a\x1b[31m", "control character U+001B (column 2"),
    ("a\udcff", "not valid Unicode"),
    ("[noise 99999999999999999999]", "seed must be from 0"),
]


@pytest.mark.parametrize(("given", "message"), REFUSED, ids=lambda v: repr(str(v)[:30]))
def test_refused_with_the_reason(given, message):
    with pytest.raises(PromptError) as caught:
        parse_prompts(given)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 400


def test_a_prompt_that_names_a_file_is_no_text(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("photo.HEIC").write_bytes(HEIC)
    Image.new("RGB", (8, 8)).save("really a.heif", "PNG")
    Path("notes.txt").write_text("a fox at sunrise")
    Path("fox").write_text("")
    Path("a photo of 3.5").mkdir()
    for name, reason in {
        "photo.HEIC": "photo.HEIC is not an image of a known format but a HEIC photo; save it as",
        "photo.HEIC:0.5": "the prompt names a file, but photo.HEIC is not an image of a known",
        "notes.txt": "the prompt names a file, but notes.txt is not an image of a known format",
        "missing.heic": "the image file 'missing.heic' does not exist",
    }.items():
        with pytest.raises(PromptError, match=reason):
            parse_prompts(name)
    assert parse_prompts("really a.heif")[0].kind == "image"
    for text in ("fox", "a photo of 3.5", "notes.txt on a table"):
        assert parse_prompts(text)[0].kind == "text"
