"""1,000 odd sets of options: each is refused by the package's own exception, or can be run."""

from __future__ import annotations

import random
import time
import types
import typing
from dataclasses import fields
from pathlib import Path

import pytest
from PIL import Image

import guidance
from guidance.clip.names import parse_specs
from guidance.clipdraw.technique import CLIPDRAW
from guidance.command.technique import Technique
from guidance.diffusion.technique import DIFFUSION
from guidance.errors import GuidanceError, InputError
from guidance.pixels.technique import PIXELS, evolve
from guidance.vqgan.technique import VQGAN

TECHNIQUES = (CLIPDRAW, DIFFUSION, PIXELS, VQGAN)
SLOWEST = 2.0  # seconds of CPU time
RUN = {"clipdraw": 6, "diffusion": 2, "pixels": 6, "vqgan": 4}  # accepted ones that are run
NAN, INF = float("nan"), float("inf")
ODD = (
    None, "", "x", -1, 0, 1, 2, 0.5, -0.0, 1e-9, 1e9, 1e300, NAN, INF, -INF, 10**6, 10**12,
    2**63 - 1, 2**63, 10**400, True, False, (), (1,), (1, 2), (2, 1), (1, 2, 3), [], [1.5],
    ("a",), ("a", "b"),
    b"a", object, {}, {"a": 1}, 3 + 2j, range(3), Path("x"), "None", "nan", "1e3", "\0", "\ud800",
    "../..", "a" * 5000, "photo.png", "mask.png", "mini", (NAN, 1.0), (0.0, INF), ("\0",), (None,),
    "64", "64x32", "8193", "9999999x1", "[1]*3+[2]*2", "[1e9]*9", "[[1]]", "[1]*9999999999", "red",
    "#123456", ("red", "#fff"), ("",), ("nocolour",), "8,8,8,8", "-1", "1,2,3",
)  # fmt: skip
USUAL: dict[str, tuple] = {
    "prompt": ("a fox", "a ^ b", "a:2 | b:-1", "0: a | 1: b", "[noise 3]", "a:1:0.4",
               "photo.png:0.5", "\u72d0\u72f8", "a" * 500, "a | [photo.png]:-0.5"),
    "negative": ((), ("fog",), ("fog:0.3", "rain")), "image_prompt": ((), ("photo.png:0.5",)),
    "story": ((), ("b",), ("b", "c")), "scene_prefix": ("", "the sea"),
    "scene_suffix": ("", ", oil"),
    "change_every": (None, 1, 2), "fade": (0, 1, 100), "steps": (1, 2, 3), "seed": (0, 1, 2**62),
    "device": ("cpu", "auto"), "cuts": (1, 2, 3), "overview": (0, 1, 5000), "output": (None, "new"),
    "augment": ((), ("flip",), ("perspective", "affine"), ("Er", "Ji"), ["noise"]),
    "cuts_per_batch": (None, 1, 100), "video_size": (16, 512), "fps": (None, 1, 0.5, 240),
    "frame_every": (0, 1, 5), "save_every": (1, 50), "size": ("32", "32x40", "40x32"),
    "render_size": (16, 64, 65), "init": (None, "photo.png", Path("photo.png")),
    "mask": (None, "mask.png"),
    "palette": ((), ("red,#fff", "navy")), "number": (1, 2), "batch": (None, 1, 7),
    "sampler": ("ddim", "ddpm", "dpm++", "euler", "lms", "heun", "unipc", "deis", "pndm"),
    "clip_scale": (None, "0", "[50]*4+[200]*6"), "cut_overview": (None, "[2]*4+[1]*2"),
    "cut_innercut": (None, "1"), "outpaint": (None, "8", "8,0,8,0"), "strength": (None, 0.3, 1),
    "segments": ((1, 1), [2, 3]), "width": ((0.0, 0.0), (3, 3)), "opacity": ((0.0, 1.0), (1, 1)),
    "strokes": (1, 5), "background": ("white", "rgba(1,2,3,0.4)"), "optimizer": ("adam", "sgd"),
    "cut_method": ("own", "latest", "original"), "noise_prompt_seeds": ((), (1, 2)),
    "noise_prompt_weights": ((), (0.5, 1)), "grid": (2, 8, 32), "recurrence": (1, 2),
    "cut_batches": (1, 2), "video": ("none",), "vqgan": ("mini",), "model": ("mini",),
    "tries": (1, 2), "try_steps": (None, 1), "judge": (None, "mini"),
    "decoder": ("auto",), "vqgan_config": (None,), "video_in": (None,), "offload": (False,),
}  # fmt: skip


def usual(chance: random.Random, name: str, hint: object) -> object:
    """Return a value that a type allows, and most often the option too."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if name in USUAL:
        return chance.choice(USUAL[name])
    if origin in (typing.Union, types.UnionType):
        return chance.choice((None, usual(chance, name, inner[0])))
    if origin is typing.Literal:
        return chance.choice(inner)
    numbers = {
        bool: (True, False),
        int: (0, 1, 2, 5),
        float: (0, 0.25, 0.5, 1, 2.0, 10.0, 1e-6, 100),
    }
    return chance.choice(numbers.get(hint, ("mini",)))


def some_options(chance: random.Random, technique: Technique, clip: Path) -> dict[str, object]:
    """Return a small run with some options changed to usual or odd values."""
    values: dict[str, object] = {
        "prompt": "a fox", "clip": str(clip), "device": "cpu", "cuts": 2, "steps": 2, "size": "32",
        "video": "none",
    }  # fmt: skip
    values |= {
        "clipdraw": {"strokes": 3, "render_size": 32}, "pixels": {"render_size": 32, "grid": 8},
        "diffusion": {"number": 1, "upsample": "none"}, "vqgan": {},
    }[technique.name]  # fmt: skip
    hints = typing.get_type_hints(technique.options)
    names = [f.name for f in fields(technique.options) if f.name != "clip"]
    for name in chance.sample(names, chance.choice((1, 2, 3, 5, 8))):
        rare = chance.random() < 0.18
        values[name] = chance.choice(ODD) if rare else usual(chance, name, hints[name])
    return values


@pytest.fixture
def place(tmp_path, monkeypatch) -> Path:
    """Return a working folder with a photo and a mask."""
    monkeypatch.chdir(tmp_path)
    Image.effect_noise((40, 30), 60).convert("RGB").save("photo.png")
    mask = Image.new("L", (40, 30))
    mask.paste(255, (0, 0, 20, 30))
    mask.save("mask.png")
    return tmp_path


@pytest.mark.filterwarnings("ignore")  # of long prompts and the like, which belong to the user
def test_a_thousand_sets_of_options(place, tiny_clip_path):
    with pytest.raises(InputError):
        parse_specs("nothing")  # the libraries of models are imported here, not in the first set
    chance, slow, said, accepted = random.Random(21), [], [], []
    for _ in range(1000):
        technique = chance.choice(TECHNIQUES)
        values = some_options(chance, technique, tiny_clip_path)
        begin = time.process_time()
        try:
            options = technique.options(**values)
            options.check()
            accepted.append((technique, options))
        except GuidanceError as error:
            said.append(str(error))
        slow.append((time.process_time() - begin, str(values)[:200]))
    assert not [line for line in said if "\n" in line or len(line) > 999]
    assert len(accepted) >= 400
    assert max(slow)[0] < SLOWEST, max(slow)
    left = dict(RUN)
    for technique, options in accepted:
        if left[technique.name]:
            left[technique.name] -= 1
            *_, last = zip(technique.steps(options), range(2), strict=False)
            size = technique.final_size(options) or last[0].generator.final_size
            assert last[0].generator.render(*size).isfinite().all()
            last[0].generator.artefacts()


@pytest.mark.parametrize("make", [guidance.draw, guidance.paint, guidance.diffuse, evolve])
def test_an_unknown_keyword_gets_the_nearest_name(make):
    with pytest.raises(InputError, match="unknown option 'stepz'; did you mean steps"):
        make("a fox", stepz=3)
    with pytest.raises(InputError, match="unknown option 'iterations'"):
        make("a fox", iterations=3)


ODD_NAMES = ("", "\0", "\ud800", "a" * 300, "x/" * 5000, "~nobody/x", "http://x/y", " ")


@pytest.mark.parametrize("technique", TECHNIQUES, ids=lambda t: t.name)
def test_odd_names_are_refused(technique, place, tiny_clip_path):
    names = {"clip", "model", "decoder", "vqgan", "vqgan_config", "init", "mask", "video_in",
             "judge"}  # fmt: skip
    usual = {"prompt": "a fox", "clip": str(tiny_clip_path), "device": "cpu"}
    for field in fields(technique.options):
        for name in ODD_NAMES if field.name in names else ():
            with pytest.raises(GuidanceError) as caught:
                technique.options(**usual | {field.name: name}).check()
            assert "\n" not in str(caught.value)
