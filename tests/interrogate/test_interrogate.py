"""``python -m guidance.interrogate`` on photos, its lists and its search."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest
from calling import calling
from photos import CAMERA, CAT, COFFEE
from PIL import Image
from tiny_clip import unit

from guidance.clip.scorer import ClipScorer
from guidance.errors import FileError, InputError
from guidance.interrogate import compose as search
from guidance.interrogate.__main__ import main as command
from guidance.interrogate.phrases import OURS, START, load_lists


@pytest.fixture
def call(capsys):
    return calling(command, capsys, "--device", "cpu")


@pytest.fixture
def own(tmp_path):
    folder = tmp_path / "lists"
    folder.mkdir()
    (folder / "subjects.txt").write_text("# animals\na cat\na dog\na cup of coffee\n")
    (folder / "light.txt").write_text("at night\nin daylight\n")
    return folder


def test_our_lists_are_clean():
    lists = load_lists()
    assert next(iter(lists)) == START
    assert len(lists) == 9
    assert sum(map(len, lists.values())) > 1000
    for path in OURS.glob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines[0].startswith("# "), f"{path} does not say what it is"
        assert len(set(lines)) == len(lines), f"{path} says something twice"
        assert not [x for x in lines[1:] if x != x.strip() or "," in x]


def test_mini_finds_the_subject(call, tmp_path):
    path = tmp_path / "i.json"
    code, out, err = call(CAT, COFFEE, CAMERA, "--json", path, "--length", 3)
    assert code == 0
    assert f"wrote {path}" in err
    cat, coffee, camera = json.loads(path.read_text())["images"]
    assert any("cat" in p["phrase"] for p in cat["lists"]["subjects"])
    assert cat["words"].split(", ")[0] in ("a kitten", "a cat", "an orange cat")
    assert coffee["words"].startswith("a cup of coffee")
    assert camera["words"].startswith("a man with a camera on a tripod")
    for image in (cat, coffee, camera):
        steps = image["steps"]
        scores = [s["cosine"] for s in steps]
        assert all(b - a >= search.LEAST_GAIN - 1e-6 for a, b in pairwise(scores))
        assert image["words"] == ", ".join(s["phrase"] for s in steps)
        assert image["cosine"] == scores[-1]
        assert len(steps) <= 3
        assert f"  {image['cosine']:.4f}  {image['words']}\n" in out


def test_the_cosine_is_that_of_the_words(call, tmp_path, mini):
    path = tmp_path / "i.json"
    call(CAT, "--json", path, "--length", 3, "-q")
    (image,) = json.loads(path.read_text())["images"]
    expected = float(mini.similarity([CAT], [image["words"]]))
    assert image["cosine"] == pytest.approx(expected, abs=0.01)  # resized in 8 bits
    for phrases in image["lists"].values():
        assert len(phrases) == 3
        got = mini.similarity([CAT], [p["phrase"] for p in phrases])[0]
        assert [p["cosine"] for p in phrases] == pytest.approx(got.tolist(), abs=0.01)


def test_each_round_takes_the_best_of_all(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    lists = {"subjects": ("a fox", "an owl"), "light": ("at night", "at noon"), "x": ("red", "old")}
    lengths = set()
    for seed in range(20):
        image = unit(32, seed=seed)
        candidates = {
            name: [search.Phrase(p, name, float(scorer.encode_text([p])[0] @ image)) for p in part]
            for name, part in lists.items()
        }
        words = search.compose(image, candidates, scorer, 4)
        text = max(lists["subjects"], key=lambda p: float(scorer.encode_text([p])[0] @ image))
        assert words.steps[0].text == text
        first = float(scorer.encode_text([text])[0] @ image)
        everything = [
            p.text
            for part in candidates.values()
            for p in part
            if p.score >= search.LEAST_FIT * first
        ]
        for step in range(1, 4):
            free = [p for p in everything if p not in text.split(", ")]
            if not free:
                assert len(words.steps) == step
                break
            scores = {f"{text}, {p}": 0.0 for p in free}
            for candidate in scores:
                scores[candidate] = float(scorer.encode_text([candidate])[0] @ image)
            best = max(scores, key=scores.get)
            before = float(scorer.encode_text([text])[0] @ image)
            if scores[best] < before + search.LEAST_GAIN:
                assert len(words.steps) == step
                break
            text = best
            assert words.steps[step].score == pytest.approx(scores[best], abs=1e-5)
        assert words.text == text
        lengths.add(len(words.steps))
    assert {1, 2} <= lengths


def test_words_are_never_longer_than_the_model_reads(tiny_clip):
    scorer = ClipScorer([tiny_clip])  # reads 16 tokens, two of them its own
    assert search.fits(scorer, "a " * 13)
    assert not search.fits(scorer, "a " * 14)
    phrases = [" ".join(["fox"] * n) + f" {n}" for n in range(1, 9)]
    candidates = {"x": [search.Phrase(p, "x", 0.1) for p in phrases]}
    for seed in range(4):
        words = search.compose(unit(32, seed=seed), candidates, scorer, 9)  # warns if it is cut
        assert search.fits(scorer, words.text)
    assert search.compose(unit(32), {"x": [search.Phrase("a " * 30, "x", 1)]}, scorer, 3).text == ""


def test_lists_of_ones_own(call, own):
    code, out, _ = call(CAT, "--lists", own, "--top", 1, "--length", 1)
    assert code == 0
    name, words, subjects, light = out.splitlines()
    assert name == str(CAT)
    assert words.endswith("  a cat")
    assert subjects.startswith("  subjects  a cat 0.")
    assert light.startswith("  light     ")


def test_the_words_alone(call, own):
    assert call(CAT, COFFEE, "-1", "--lists", own, "--length", 1)[1] == "a cat\na cup of coffee\n"
    code, out, _ = call(CAT, "--lists", own, "--length", 0, "--top", 1)
    assert code == 0
    assert [line.split()[0] for line in out.splitlines()[1:]] == ["subjects", "light"]


def test_damaged_files_are_listed(call, own, tmp_path, tiny_clip_path):
    Image.open(CAT).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no picture")
    arguments = (tmp_path, "--lists", own, "--clip", tiny_clip_path)
    code, _, err = call(*arguments, "--strict")
    assert code == 1
    assert f"skipped 1 of 2 files:\n  {tmp_path / 'bad.png'} is not an image" in err
    (tmp_path / "good.png").unlink()
    code, _, err = call(*arguments)
    assert code == 2
    assert "none of 1 file can be read" in err


def test_bad_lists(tmp_path, own):
    with pytest.raises(FileError, match=r"list does not exist; did you mean lists"):
        load_lists(tmp_path / "list")
    with pytest.raises(FileError, match="is not a folder"):
        load_lists(own / "light.txt")
    (own / "empty.txt").write_text("# nothing\n")
    with pytest.raises(FileError, match=r"empty.txt holds no prompts"):
        load_lists(own)
    (tmp_path / "none").mkdir()
    with pytest.raises(InputError, match="holds no list"):
        load_lists(tmp_path / "none")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "images or folders are needed"),
        ([CAT, "--length", "51"], "length must be"),
        ([CAT, "--lists", "nowhere"], "nowhere does not exist"),
        ([CAT, "--json", "x.txt"], "unknown suffix '.txt'"),
        ([CAT, "--clip", "mni"], "did you mean mini"),
    ],
)
def test_bad_input_ends_with_one_line(call, arguments, message):
    code, out, err = call(*arguments)
    assert (code, out) == (2, "")
    assert message in err
    assert err.count("\n") == 1
