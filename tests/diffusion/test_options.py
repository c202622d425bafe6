"""The options of diffusion: what they come to, and what is not allowed."""

from __future__ import annotations

import dataclasses

import pytest
import torch

from guidance.command.options import from_table
from guidance.diffusion import DiffusionOptions
from guidance.diffusion.build import arrange, regularisers
from guidance.diffusion.frame import Frame
from guidance.errors import InputError
from guidance.models.pipeline_config import Shape


def options(**values: object) -> DiffusionOptions:
    return DiffusionOptions(prompt="a fox at sunrise", **values)


def test_round_trip():
    given = options(cfg=4.0, outpaint="8", cut_overview="[2]*3+[1]", strength=0.5, number=2)
    table = dataclasses.asdict(given)
    assert from_table(DiffusionOptions, table, "here") == given
    plain = {k: v for k, v in table.items() if v is not None}
    assert from_table(DiffusionOptions, plain, "here") == given


def test_options_are_plain_values():
    for name, value in vars(options()).items():
        assert isinstance(value, str | int | float | bool | tuple | None), name


@pytest.mark.parametrize(
    ("values", "levels", "total"),
    [
        ({}, 25, 25),
        ({"steps": 10, "sampler": "heun"}, 10, 19),
        ({"steps": 10, "sampler": "plms"}, 10, 11),
        ({"steps": 10, "init": "x.png"}, 7, 7),
        ({"steps": 10, "init": "x.png", "mask": "m.png"}, 10, 10),
        ({"steps": 10, "init": "x.png", "outpaint": "8"}, 10, 10),
        ({"steps": 10, "init": "x.png", "mask": "m.png", "strength": 0.5}, 5, 5),
        ({"steps": 10, "init": "x.png", "strength": 0.5, "sampler": "heun"}, 5, 9),
        ({"steps": 10, "init": "x.png", "strength": 0.001}, 1, 1),
        ({"steps": 10, "recurrence": 3}, 10, 10),
    ],
)
def test_steps(values, levels, total):
    given = options(**values)
    assert (given.levels(), given.total()) == (levels, total)


def test_sizes():
    assert options().frame(Shape((64, 64), 8)) == Frame((64, 64))
    assert options(size="96x64").frame(Shape((32, 32), 8)) == Frame((64, 96))
    given = options(init="x.png", outpaint="8,0,16,4", size="64")
    assert given.frame(Shape((64, 64), 4)).size == (68, 88)
    assert options(init="x.png", outpaint="8", size="32").frame(Shape((8, 8), 1)).size == (48, 48)


def test_seeds_count_up():
    assert options(seed=5, number=3).seeds() == (5, 6, 7)
    options(seed=2**63 - 3, number=3).check()
    with pytest.raises(InputError, match="seed must be"):
        options(seed=2**63 - 2, number=3).check()


def test_the_network_is_told_the_prompt_alone():
    given = options(negative=("fog",))
    assert [p.text for p in given.prompts()] == ["a fox at sunrise", "fog", "a fox"]
    assert [(p.text, p.weight) for p in given.told()] == [("a fox at sunrise", 1), ("fog", -1)]


def test_cuts_of_a_schedule():
    given = options(steps=10, cut_overview="[12]*400+[4]*600", cut_innercut="[2]*4+[7]*6")
    cut = given.cutouts()
    assert [(cut(i).overview, cut(i).cuts) for i in (0, 3, 4, 9)] == [
        (12, 14), (12, 14), (4, 11), (4, 11)
    ]  # fmt: skip
    only = options(cut_overview="3", cuts=16, overview=10).cutouts()
    assert (only(0).overview, only(0).cuts) == (3, 9)
    only = options(cut_innercut="3", cuts=16, overview=10).cutouts()
    assert (only(0).overview, only(0).cuts) == (10, 13)


def test_batches_of_cuts():
    plain = options(cuts=8, overview=3)
    assert (plain.cutouts().cuts, plain.cuts_at_once()) == (8, None)
    more = options(cuts=8, overview=3, cut_batches=4)
    assert (more.cutouts().cuts, more.cutouts().overview, more.cuts_at_once()) == (32, 12, 8)
    assert options(cuts=8, cut_batches=4, cuts_per_batch=5).cuts_at_once() == 5
    assert options(cuts=8, cut_batches=2, cut_overview="[4]+[9]", overview=2).cuts_at_once() == 15


def test_guide():
    guide = options(clip_scale="[1]+[3]", clamp=0.2, guide_every=2, guide_from=0.5,
                    gradient="direct", range=4.0).guide()  # fmt: skip
    assert [guide.scale_at(i, 8) for i in range(8)] == [0, 0, 0, 0, 3, 0, 3, 0]
    assert (guide.clamp, guide.direct, guide.excess) == (0.2, True, 4.0)


def test_regularisers():
    assert regularisers(options(), torch.device("cpu")) is None
    image = torch.zeros(1, 3, 8, 8)
    image[..., 4:] = 1
    both = regularisers(options(smoothness=2.0, saturation=0.5), torch.device("cpu"))
    said = both.evaluate(image).terms
    assert said["smoothness"].item() == pytest.approx(2 / 7)
    assert said["saturation"].item() == pytest.approx(0.5)  # greys


def test_pictures_are_put_in_order(tiny_clip_path, tiny_clip):
    images = torch.rand(4, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    images[2] = torch.nan
    given = options(number=4, seed=7, clip=str(tiny_clip_path), subject=0.0, device="cpu")
    arranged = arrange(given, images)
    scores = (tiny_clip.encode_image(images) @ tiny_clip.encode_text([given.prompt]).T)[:, 0]
    best = [k for k in scores.argsort(descending=True).tolist() if k != 2]
    assert list(arranged.order) == [*best, 2]
    assert arranged.facts["seed"] == [7 + k for k in arranged.order]
    wanted = [scores[k].item() for k in best]
    assert arranged.facts["score"][:3] == pytest.approx(wanted, abs=1e-3)
    assert arranged.labels[0] == f"seed {7 + best[0]}   {wanted[0]:.3f}"
    assert arranged.labels[3] == "seed 9   nan"


def test_what_is_pushed_away_from_takes_nothing_from_the_score(tiny_clip_path):
    images = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    plain = options(number=3, clip=str(tiny_clip_path), device="cpu")
    negative = dataclasses.replace(plain, negative=("a boat", "fog:3"))
    assert arrange(negative, images) == arrange(plain, images)
    weighted = dataclasses.replace(plain, prompt=f"{plain.prompt} | fog:-2")
    assert arrange(weighted, images) == arrange(plain, images)


def test_pictures_stay_in_order_where_asked(tiny_clip_path):
    images = torch.rand(2, 3, 32, 32)
    kept = arrange(options(number=2, rerank=False), images)
    assert (list(kept.order), kept.facts) == ([0, 1], {"seed": [0, 1]})
    assert list(kept.labels) == ["seed 0", "seed 1"]
    alone = arrange(options(number=1, seed=3), images[:1])
    assert (list(alone.order), list(alone.labels), alone.facts) == ([0], [], {"seed": [3]})
    story = options(number=2, clip=str(tiny_clip_path), story=("a wolf",), steps=8, device="cpu")
    last = dataclasses.replace(story, prompt="a wolf", story=())
    assert arrange(story, images) == arrange(last, images)  # judged by its last scene
