"""Ranking against a slow reference, and its behaviour with every kind of input."""

from __future__ import annotations

import weakref
from pathlib import Path

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from tiny_clip import build_tiny

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.errors import FileError, InputError, PromptError
from guidance.score.prompts import prompts_for_ranking
from guidance.score.ranking import MAX_ASPECT, Ranked, RankOptions, rank

SKIP = RankOptions(on_error="skip")


@pytest.fixture(scope="module")
def scorer(tiny_clip_path):
    return ClipScorer([load_clip(str(tiny_clip_path))])


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> list[Path]:
    """Twelve small pictures of different sizes and shapes."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(12):
        height, width = random.integers(36, 90, 2)
        coarse = random.integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(coarse).resize((int(width), int(height)), Image.Resampling.BICUBIC).save(
            folder / f"{number:02}.{'png' if number % 2 else 'jpg'}"
        )
    return sorted(folder.iterdir())


def reference(folder: Path, files: list[Path], texts: list[str]) -> torch.Tensor:
    """Score one by one with open_clip alone, as its documentation shows: ``[N, P]``."""
    from tiny_clip import TINY

    network = open_clip.CLIP(**TINY["model_cfg"])
    open_clip.load_checkpoint(network, str(folder / "open_clip_model.safetensors"))
    network.eval()
    config = TINY["preprocess_cfg"]
    transform = open_clip.image_transform(
        32, is_train=False, mean=config["mean"], std=config["std"], interpolation="bicubic"
    )
    rows = []
    with torch.no_grad():
        tokens = open_clip.SimpleTokenizer(context_length=16)(texts)
        text = network.encode_text(tokens, normalize=True)
        for file in files:
            image = transform(Image.open(file))[None]
            rows.append(network.encode_image(image, normalize=True) @ text.T)
    return torch.cat(rows)


def test_scores_and_order_are_those_of_open_clip(tiny_clip_path, photos):
    texts = ["a fox", "a boat in the fog"]
    cosines = reference(tiny_clip_path, photos, texts)
    expected = (cosines @ torch.tensor([2.0, -0.5])) / 2.5
    ranking = rank(photos, "a fox:2 | a boat in the fog:-0.5", clip=str(tiny_clip_path))
    assert [r.index for r in ranking] == expected.argsort(descending=True).tolist()
    assert [r.rank for r in ranking] == list(range(1, 13))
    for r in ranking:
        assert r.source == photos[r.index]
        assert r.score == pytest.approx(float(expected[r.index]), abs=2e-4)
        assert r.scores == pytest.approx(cosines[r.index].tolist(), abs=2e-4)
    assert [p.text for p in ranking.prompts] == texts
    assert [r.index for r in ranking.by_prompt(1)] == cosines[:, 1].argsort(
        descending=True
    ).tolist()
    assert ranking.by_prompt(1)[0].score == pytest.approx(float(cosines[:, 1].max()), abs=2e-4)


@pytest.mark.parametrize(("batch", "workers"), [(1, 0), (5, 1), (12, 3), (100, 2)])
def test_batches_and_workers_do_not_change_the_result(scorer, photos, batch, workers):
    expected = rank(photos, "a fox", scorer=scorer)
    options = RankOptions(batch=batch, workers=workers)
    ranking = rank(photos, "a fox", scorer=scorer, options=options)
    assert [r.index for r in ranking] == [r.index for r in expected]
    for got, want in zip(ranking, expected, strict=True):
        assert got.score == pytest.approx(want.score, abs=1e-5)


def test_every_form_of_images_gives_the_same_scores(scorer, generator):
    pixels = (torch.rand(5, 3, 32, 32, generator=generator) * 255).round() / 255
    expected = [r.score for r in rank(pixels, "a fox", scorer=scorer)]
    as_pil = [Image.fromarray(p) for p in (pixels * 255).byte().permute(0, 2, 3, 1).numpy()]
    for images in (
        list(pixels),
        iter(pixels),
        (part for part in pixels.split(2)),
        [pixels[:1], pixels[1], as_pil[2], pixels[3:]],
        as_pil,
    ):
        assert [r.score for r in rank(images, "a fox", scorer=scorer)] == pytest.approx(
            expected, abs=1e-5
        )
    assert rank(pixels[0], "a fox", scorer=scorer)[0].index == 0


def test_the_index_counts_images_across_batches(scorer, generator):
    pixels = torch.rand(7, 3, 16, 16, generator=generator)
    one = rank(pixels, "a fox", scorer=scorer)
    parts = rank(iter(pixels.split(3)), "a fox", scorer=scorer, options=RankOptions(batch=2))
    assert [r.index for r in one] == [r.index for r in parts]


def test_ties_stay_in_the_order_of_the_input(scorer, generator):
    image = torch.rand(3, 32, 32, generator=generator)
    ranking = rank([image] * 5, "a fox", scorer=scorer, options=RankOptions(batch=5))
    assert [r.index for r in ranking] == [0, 1, 2, 3, 4]


def test_a_generator_is_read_lazily_and_its_images_are_let_go(scorer):
    alive: list[weakref.ref] = []
    most = 0

    def images():
        nonlocal most
        for number in range(40):
            image = torch.full((3, 400, 400), number / 40)
            alive.append(weakref.ref(image))
            yield image
            del image
            most = max(most, sum(ref() is not None for ref in alive))

    ranking = rank(images(), "a fox", scorer=scorer, options=RankOptions(batch=4))
    assert len(ranking) == 40
    assert most <= 3
    assert all(r.source is None for r in ranking)


def test_the_images_of_a_generator_may_need_gradients(scorer):
    def images():
        x = torch.zeros(1, 3, 16, 16, requires_grad=True)
        yield x
        (x + 1).sum().backward()
        yield x.grad

    assert len(rank(images(), "a fox", scorer=scorer)) == 2


def test_unreadable_files_are_skipped_or_raised(scorer, photos, tmp_path):
    bad = tmp_path / "bad.png"
    bad.write_text("no")
    files = [photos[0], bad, tmp_path / "none.png", photos[1]]
    ranking = rank(files, "a fox", scorer=scorer, options=SKIP)
    assert {r.index for r in ranking} == {0, 3}
    assert [(s.index, s.source, s.reason) for s in ranking.skipped] == [
        (1, bad, "is not an image of a known format"),
        (2, tmp_path / "none.png", "does not exist"),
    ]
    with pytest.raises(FileError, match=r"bad\.png is not an image of a known format"):
        rank(files, "a fox", scorer=scorer)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_images_that_are_not_finite_are_never_ranked(scorer, value):
    pixels = torch.rand(3, 3, 32, 32)
    pixels[1, 0, 4, 4] = value
    ranking = rank(pixels, "a fox", scorer=scorer, options=SKIP)
    assert {r.index for r in ranking} == {0, 2}
    assert ranking.skipped[0].reason == "holds values that are not finite"
    with pytest.raises(FileError, match="image 1 holds values that are not finite"):
        rank(pixels, "a fox", scorer=scorer)


def test_very_narrow_images_are_skipped(scorer):
    images = [torch.rand(3, 2, 2 * MAX_ASPECT), torch.rand(3, 2 * MAX_ASPECT + 1, 2)]
    ranking = rank(images, "a fox", scorer=scorer, options=SKIP)
    assert [r.index for r in ranking] == [0]
    assert ranking.skipped[0].reason == "is too narrow: its sides are 2 and 201 pixels"


def test_large_files_are_shrunk_with_little_effect(scorer, tmp_path):
    random = np.random.default_rng(1)
    coarse = Image.fromarray(random.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    coarse.resize((900, 600), Image.Resampling.BICUBIC).save(tmp_path / "x.jpg", quality=95)
    coarse.resize((900, 600), Image.Resampling.BICUBIC).save(tmp_path / "x.png")
    for path in (tmp_path / "x.jpg", tmp_path / "x.png"):
        exact = scorer.similarity([path], ["a fox"]).item()
        assert rank([path], "a fox", scorer=scorer)[0].score == pytest.approx(exact, abs=0.005)


def test_ensembles_average_the_cosines(tiny_clip_path, tmp_path, photos):
    other = build_tiny(tmp_path / "other", seed=1, image_size=48)
    spec = f"{tiny_clip_path}:1,{other}:3"
    one, two = (
        {r.index: r.score for r in rank(photos, "a fox", clip=str(path))}
        for path in (tiny_clip_path, other)
    )
    for r in rank(photos, "a fox", clip=spec):
        assert r.score == pytest.approx((one[r.index] + 3 * two[r.index]) / 4, abs=1e-5)


def test_image_prompts_find_the_image_itself(scorer, photos):
    ranking = rank(photos, f"[{photos[4]}]", scorer=scorer)
    assert ranking[0].index == 4
    assert ranking[0].score == pytest.approx(1, abs=1e-5)


def test_negative_prompts_count_against_an_image(scorer, photos):
    ranking = rank(photos, "a fox", negative=["fog:0.5"], scorer=scorer)
    assert [p.weight for p in ranking.prompts] == [1, -0.5]
    best = ranking[0]
    assert best.score == pytest.approx((best.scores[0] - 0.5 * best.scores[1]) / 1.5)
    turned = rank(photos, "a fox:-1", scorer=scorer)
    plain = rank(photos, "a fox", scorer=scorer)
    assert [r.index for r in turned] == [r.index for r in plain][::-1]


def test_bfloat16_is_close(tiny_clip_path, photos):
    full = {r.index: r.score for r in rank(photos, "a fox", clip=str(tiny_clip_path))}
    half = RankOptions(precision="bf16")
    for r in rank(photos, "a fox", clip=str(tiny_clip_path), device="cpu", options=half):
        assert r.score == pytest.approx(full[r.index], abs=0.02)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": []}, "images must not be empty"),
        ({"images": "a.png"}, "images must be a tensor .* but is str"),
        ({"images": 3}, "but is int"),
        ({"images": [3]}, "an image must be a path, PIL image or tensor but is int"),
        ({"images": [torch.rand(8, 8)]}, "images must have shape"),
        ({"images": torch.zeros(1, 3, 8, 8, dtype=torch.uint8)}, "must be floating point"),
        ({"prompts": []}, "prompts must not be empty"),
        ({"prompts": [3]}, "prompts must be a text"),
        ({"prompts": "0: a fox | 5: a wolf"}, "no steps, so a schedule cannot be used"),
        ({"prompts": "a fox ^ a wolf"}, "no steps, so a schedule cannot be used"),
        ({"prompts": "a fox:0"}, "weight"),
        ({"options": RankOptions(batch=0)}, "batch must be at least 1"),
        ({"options": RankOptions(workers=-1)}, "workers must be at least 0"),
        (
            {"options": RankOptions(on_error="ignore")},
            "on_error must be raise or skip but is 'ignore'",
        ),
    ],
)
def test_arguments_are_checked(scorer, change, message):
    arguments = {"images": [torch.rand(3, 8, 8)], "prompts": "a fox", "scorer": scorer} | change
    with pytest.raises(InputError, match=message):
        rank(**arguments)


def test_arguments_are_checked_before_anything_is_loaded(tmp_path):
    for change in (
        {"clip": "minni"},
        {"options": RankOptions(precision="fp8")},
        {"device": "abacus"},
    ):
        with pytest.raises(InputError):
            rank([tmp_path / "none.png"], "a fox", **change)
    with pytest.raises(PromptError):
        rank([tmp_path / "none.png"], " ")


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("clip", "a" * 5000, "unknown CLIP model"),
        ("clip", "RN50=" + "a" * 5000, "does not exist"),
        ("clip", None, "clip must be a name"),
        ("clip", ["mini", 5], "mixture"),
        ("prompts", None, "prompts must be a text"),
        ("prompts", Path("a.png"), "prompts must be a text"),
        ("prompts", ["a", "\u200b"], "invisible"),
        ("negative", None, "negative must be a text"),
        ("store", "", "store must be a folder"),
        ("store", 5, "store must be a folder"),
        ("store", "a" * 5000, "store cannot be"),
        ("store", "a\0b", "NUL"),
    ],
    ids=lambda v: repr(v)[:20],
)
def test_odd_values_are_refused_in_one_line(name, value, message):
    with pytest.raises(InputError, match=message) as told:
        rank(["a.png"], **({"prompts": "a fox"} | {name: value}))
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


def test_a_negative_prompt_may_be_one_text():
    assert prompts_for_ranking("a", "fog") == prompts_for_ranking("a", ["fog"])


def test_results_are_plain_values(scorer):
    r = rank(torch.rand(1, 3, 8, 8), "a fox", scorer=scorer)[0]
    assert r == Ranked(1, r.score, (r.score,), 0, None)
