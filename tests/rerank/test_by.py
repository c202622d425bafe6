"""Uniqueness, ratings, duplicates, variety, judge, page and curve: the command on real photos."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
import torch
from calling import calling
from PIL import Image
from tiny_clip import build_tiny

from guidance import ClipScorer
from guidance.embeddings.embed import embed_all
from guidance.rerank.__main__ import main as command
from guidance.rerank.judge import verdict
from guidance.rerank.report import groups_text
from guidance.score.aesthetic import AestheticHead, save_head
from guidance.score.ranking import rank

CAT = ("chelsea.png", "cropped.png", "mirrored.png", "small.jpg")


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> Path:
    """Return a folder of seven photos, one of them in four forms and one in two."""
    data = pytest.importorskip("skimage.data")
    folder = tmp_path_factory.mktemp("photos")
    for name in ("astronaut", "chelsea", "coffee", "moon", "retina", "rocket", "text"):
        photo = Image.fromarray(getattr(data, name)()).convert("RGB")
        photo.thumbnail((500, 500))
        photo.save(folder / f"{name}.png")
    with Image.open(folder / "chelsea.png") as cat:
        cat.resize((300, 200)).save(folder / "small.jpg", quality=80)
        cat.crop((30, 20, 430, 290)).save(folder / "cropped.png")
        cat.transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(folder / "mirrored.png")
    with Image.open(folder / "astronaut.png") as astronaut:
        astronaut.save(folder / "coarse.jpg", quality=30)
    return folder


@pytest.fixture
def call(capsys):
    return calling(command, capsys, "--device", "cpu")


def names(out: str) -> list[str]:
    return [Path(line).name for line in out.splitlines()]


def test_uniqueness_and_near_duplicates_of_real_photos(call, photos, tmp_path):
    code, out, _ = call(
        "--by", "uniqueness", photos, "--duplicates", 0.95, "-t", 0, "--json", tmp_path / "r.json"
    )
    assert code == 0
    ranking, groups = out.split("\n\n")
    order = [Path(line.split()[-1]).name for line in ranking.splitlines()[1:]]
    assert len(order) == 11
    assert set(order[-6:]) == {*CAT, "astronaut.png", "coarse.jpg"}
    assert groups.startswith("6 near-duplicates in 2 groups (cosine of at least 0.95)\n   1  ")
    content = json.loads((tmp_path / "r.json").read_text())
    found = [{Path(f).name for f in group} for group in content["duplicates"]["groups"]]
    assert found == [set(CAT), {"astronaut.png", "coarse.jpg"}]
    assert content["by"] == {"uniqueness": 1}
    marks = {Path(e["file"]).name: e.get("group") for e in content["ranking"]}
    assert {name for name, group in marks.items() if group == 1} == set(CAT)
    assert marks["coffee.png"] is None
    vectors = embed_all([photos / n for n in order], ClipScorer("mini", device="cpu"))[0]
    cosines = (vectors @ vectors.T).fill_diagonal_(-1)
    scores = torch.tensor([e["score"] for e in content["ranking"]])
    torch.testing.assert_close(scores, 1 - cosines.max(1).values, atol=1e-5, rtol=0)


def test_the_best_of_each_group_alone(call, photos, tmp_path):
    code, out, _ = call("a cat", photos, "-f", "-t", 0)
    everything = names(out)
    best = next(n for n in everything if n in CAT)
    assert set(everything[:4]) == set(CAT)
    code, out, _ = call("a cat", photos, "--unique", "-f", "-t", 0)
    kept = names(out)
    assert code == 0
    assert kept[0] == best
    assert len(kept) == 7
    assert [n for n in everything if n in kept] == kept  # the others keep their order


def test_variety_among_the_best(call, photos):
    same = names(call("a cat", photos, "-f", "-t", 3)[1])
    varied = names(call("a cat", photos, "-f", "-t", 3, "--diversity", 0.7)[1])
    assert set(same) <= set(CAT)
    assert varied[0] == same[0]
    assert len(set(varied) & set(CAT)) == 1
    plain = call("a cat", photos, "-t", 0)[1]
    assert call("a cat", photos, "-t", 0, "--diversity", 0)[1] == plain
    different = call("a cat", photos, "-f", "-t", 0, "--diversity", 1)[1]
    assert sorted(names(different)) == sorted(p.name for p in photos.iterdir())


def test_scores_are_combined_in_standard_deviations(call, photos, tmp_path):
    scorer = ClipScorer("mini", device="cpu")
    weight = embed_all([photos / "coffee.png"], scorer)[0] * 10
    head = AestheticHead(
        ((weight, torch.tensor([1.0])),), clip="mini", fingerprint=scorer.fingerprint
    )
    save_head(tmp_path / "head.safetensors", head)
    by = ("--by", "prompt:2,aesthetic,uniqueness:0", "--aesthetic", tmp_path / "head.safetensors")
    files = ("--csv", tmp_path / "r.csv", "--json", tmp_path / "r.json")
    code, out, err = call("a rocket", photos, *by, *files)
    assert code == 0
    assert "warning" not in err
    assert out.splitlines()[0].split() == [
        "rank", "score", "prompt", "aesthetic", "uniqueness", "file"
    ]  # fmt: skip
    with (tmp_path / "r.csv").open(newline="") as file:
        rows = {Path(r["file"]).name: r for r in csv.DictReader(file)}
    vectors = embed_all([photos / n for n in rows], scorer)[0]
    prompt = (vectors @ scorer.encode_text(["a rocket"]).T)[:, 0].double()
    for row, cosine, rating in zip(rows.values(), prompt, head(vectors), strict=True):
        assert float(row["prompt"]) == pytest.approx(float(cosine), abs=1e-5)
        assert float(row["aesthetic"]) == pytest.approx(float(rating), abs=1e-4)
    columns = [torch.tensor([float(r[c]) for r in rows.values()]) for c in ("prompt", "aesthetic")]
    prompt, rating = ((c - c.mean()) / c.std(correction=0) for c in columns)
    scores = torch.tensor([float(r["score"]) for r in rows.values()])
    torch.testing.assert_close(scores, (2 * prompt + rating) / 3, atol=1e-4, rtol=0)
    assert list(scores) == sorted(scores, reverse=True)
    first = json.loads((tmp_path / "r.json").read_text())["ranking"][0]
    assert set(first["parts"]) == {"prompt", "aesthetic", "uniqueness"}


def test_heads_of_another_clip(call, photos, tmp_path, tiny_clip_path):
    layer = (torch.ones(1, 768), torch.ones(1))
    torch.save({"weight": layer[0], "bias": layer[1]}, tmp_path / "laion.pth")
    by = ("--by", "aesthetic", photos, "--clip", tiny_clip_path, "--aesthetic")
    code, out, err = call(*by, tmp_path / "laion.pth")
    assert (code, out) == (2, "")
    assert "reads embeddings of 768 numbers but" in err
    assert "gives 32; use --clip ViT-L-14/openai" in err
    head = AestheticHead(((torch.ones(1, 32), torch.ones(1)),), clip="old", fingerprint="0" * 32)
    save_head(tmp_path / "old.safetensors", head)
    code, _, err = call(*by, tmp_path / "old.safetensors")
    assert code == 0
    assert "warning: the aesthetic head was trained on other embeddings (old) than those of" in err


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_judge_is_a_second_ranking_beside_the_first(
    call, photos, tmp_path, tiny_clip_path, seed
):
    judge = build_tiny(tmp_path / "judge", seed=seed)  # that of seed 0 is the same CLIP
    files = ("--json", tmp_path / "r.json", "--gain", tmp_path / "g.csv")
    code, out, err = call(
        "a cat", photos, "--clip", tiny_clip_path, "--judge", judge, *files, "-t", 2
    )
    assert code == 0
    paths = sorted(photos.iterdir())
    first, second = (
        {r.index: r.score for r in rank(paths, "a cat", clip=str(c), device="cpu")}
        for c in (tiny_clip_path, judge)
    )
    scores, judged = (
        torch.tensor([s[i] for i in range(11)], dtype=torch.float64) for s in (first, second)
    )
    expected = verdict(scores, judged, 2)
    assert f"judge {judge}: {expected}" in out
    assert ("warning: the judge does not see why the best" in err) == expected.doubtful
    content = json.loads((tmp_path / "r.json").read_text())
    assert content["judge"]["spearman"] == pytest.approx(expected.spearman, abs=1e-6)
    assert (content["judge"]["spearman"] == 1) == (seed == 0)
    best = content["ranking"][0]
    own = second[paths.index(Path(best["file"]))]
    assert best["parts"]["judge"] == pytest.approx(own, abs=1e-6)
    with (tmp_path / "g.csv").open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    assert float(last["judge"]) == pytest.approx(best["parts"]["judge"], abs=1e-6)


def test_page_and_chart(call, photos, tmp_path, tiny_clip_path):
    code, _, err = call(
        "a cat", photos, "--clip", tiny_clip_path, "--gallery", tmp_path / "g.html", "--gain",
        tmp_path / "g.svg", "-t", 1,
    )  # fmt: skip
    assert code == 0
    assert f"wrote {tmp_path / 'g.html'}, {tmp_path / 'g.svg'}" in err
    assert (tmp_path / "g.html").read_text().count("<li ") == 11  # all, whatever --top is
    assert "samples to choose from" in (tmp_path / "g.svg").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--judge", "mini"), "--judge must be another CLIP than --clip but both name mini"),
        (("--judge", "minii"), "minii"),
        (("--gallery", "g.txt"), "--gallery g.txt: unknown suffix '.txt'"),
        (("--gain", "g.jpg"), "--gain g.jpg: unknown suffix '.jpg'"),
        (("--gain", "a.csv", "--csv", "a.csv"), "--gain must not be a file that is written"),
        (("--by", "aesthetic", "--aesthetic", "none.pth"), "none.pth does not exist"),
        (("--by", "prompt,beauty"), "unknown criterion 'beauty'"),
        (("--duplicates", "2"), "--duplicates must be from -1 to 1 but is 2"),
    ],
)
def test_mistakes_are_found_before_any_work(call, photos, monkeypatch, tmp_path, argv, message):
    monkeypatch.chdir(tmp_path)
    paths = (photos,) if argv[:2] == ("--by", "aesthetic") else ("a cat", photos)
    code, out, err = call(*paths, *argv)
    assert (code, out) == (2, "")
    assert message in err
    assert not list(tmp_path.iterdir())


def test_one_image_has_no_curve(call, photos, tmp_path, tiny_clip_path):
    one = (photos / "coffee.png", "--clip", tiny_clip_path)
    code, _, err = call("a cat", *one, "--gain", tmp_path / "g.png")
    assert code == 2
    assert "--gain needs at least two images but got 1" in err
    code, out, _ = call("--by", "uniqueness", *one, "--duplicates", 0.9)
    assert code == 0
    assert "no near-duplicates (cosine of at least 0.9)" in out


def test_embeddings_are_kept_for_every_criterion_and_judge(
    call, photos, tmp_path, tiny_clip_path, monkeypatch
):
    store = ("--store", tmp_path / "store", "--clip", tiny_clip_path)
    judge = ("--judge", build_tiny(tmp_path / "judge", seed=1), "--by", "prompt,uniqueness")
    first = call("a cat", photos, *store, *judge)
    assert first[0] == 0
    assert len(list((tmp_path / "store").iterdir())) == 2  # a folder for each CLIP
    from guidance.embeddings import reading

    def refuse(*_, **__):
        raise AssertionError("an image was decoded again")

    monkeypatch.setattr(reading, "load_image", refuse)
    assert call("a cat", photos, *store, *judge) == first
    assert call("a dog", photos, *store)[0] == 0


def test_one_group_is_one_group():
    text = groups_text([[Path("a.png"), Path("b.png")]], 0.95)
    assert text.startswith("2 near-duplicates in 1 group (cosine of at least 0.95)\n")
