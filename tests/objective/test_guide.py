"""The public recipe: the same objective as the commands', and the same pictures."""

from dataclasses import fields

import pytest
import torch
from PIL import Image
from pixel_generator import Pixels
from safetensors.torch import save_file
from tiny_clip import build_tiny, unit

import guidance
from guidance.command.options import GuidedOptions
from guidance.command.runner import command
from guidance.command.technique import Technique
from guidance.errors import GuidanceError
from guidance.objective.cutouts import CutoutOptions
from guidance.objective.guide import LOOKS, STEPS, WORDS, Sight, guide
from guidance.pixels.technique import PIXELS
from guidance.prompts.grammar import parse_prompts
from guidance.prompts.wish import Wish

FEW = {"cuts": 4, "overview": 2}
CASES = {
    "setting": ("a fox at sunrise", {}),
    "subject": ("a fox at sunrise", {"subject": 2.0}),
    "no subject": ("a fox at sunrise", {"subject": 0.0}),
    "negative": ("a fox:2", {"negative": ("text:0.3", "fog")}),
    "story": ("dawn ^ noon at sea", {"story": ("night",), "fade": 2, "scene_prefix": "a lake,"}),
    "schedule": ("ink | 0: a fox in snow | 3: a wolf:1:0.2", {}),
    "text off": ("a red house", {"text_off": True}),
    "image prompt": ("a lake", {"image_prompt": ("photo.png:0.5",)}),
    "words alone": ("a fox at sunrise", {"prior": False, "seed": 7, "cuts_per_batch": 3}),
}


@pytest.fixture(scope="module")
def clip_path(tmp_path_factory):
    """Return a tiny CLIP with a prior and another tower, made for gradients."""
    from guidance.clip.prior import remember

    folder = build_tiny(tmp_path_factory.mktemp("clip") / "both")
    state = remember(unit(20, 32), unit(20, 32, seed=1), rank=32)
    save_file(state, folder / "open_clip_model-prior.safetensors")
    return str(folder)


def judged(objective, step):
    image = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1)).requires_grad_()
    said = objective.evaluate(image, step)
    said.loss.backward()
    return said.loss, said.score, image.grad


@pytest.mark.parametrize("case", CASES)
def test_the_recipe_is_what_the_commands_build(case, clip_path, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    prompt, options = CASES[case]
    shared = {"steps": 6, "clip": clip_path, "device": "cpu", **options}
    plain = Technique("plain", GuidedOptions, lambda options, device: Pixels(8))
    own = GuidedOptions(prompt=prompt, **FEW, **shared)
    own.check()
    _, built = plain.prepare(own)
    public = guide(prompt, cutouts=CutoutOptions(**FEW), **shared)
    assert public.prompts == built.prompts
    for step in (0, 3, 5):
        for one, other in zip(judged(public, step), judged(built, step), strict=True):
            assert torch.equal(one, other)


def test_what_the_recipe_says_changes_what_is_followed(clip_path, photo, monkeypatch):
    monkeypatch.chdir(photo.parent)
    losses = set()
    for prompt, options in CASES.values():
        objective = guide(prompt, 6, clip=clip_path, cutouts=CutoutOptions(**FEW), **options)
        losses.add(judged(objective, 3)[0].item())
    assert len(losses) == len(CASES)


def test_defaults_are_those_of_the_command_line():
    own = GuidedOptions(prompt="a fox")
    given = {f.name: f.default for f in fields(Wish)} | {f.name: f.default for f in fields(Sight)}
    for name in WORDS + LOOKS:
        if name != "cutouts":
            assert getattr(own, name) == given[name], name
    assert own.cutouts() == Sight().cutouts
    assert own.steps == STEPS


def test_mini_is_followed_by_the_tower_made_for_gradients():
    guided = guidance.guide("a fox", device="cpu").scorer
    assert guided.fingerprint == guidance.ClipScorer("mini", device="cpu", guide=True).fingerprint
    assert guided.fingerprint != guidance.ClipScorer("mini", device="cpu").fingerprint


def test_parsed_prompts_are_taken_as_they_are(clip_path):
    prompts = parse_prompts("a fox at sunrise")
    assert guide(prompts, clip=clip_path).prompts == prompts
    assert len(guide("a fox at sunrise", clip=clip_path).prompts) == 2
    with pytest.raises(GuidanceError, match="subject cannot be added to prompts that are parsed"):
        guide(prompts, subject=1.0)


@pytest.mark.parametrize(("prompt", "steps", "options", "message"), [
    ("a fox", 10, {"subjct": 1}, "guide: unknown option 'subjct'; did you mean subject"),
    ("a fox", 0, {}, "steps must be at least 1"),
    ("a fox", 2.5, {}, "steps must be a whole number"),
    ("0: a fox | 200: a wolf", 100, {}, "starts at step 200 but the run has 100 steps"),
    ("a ^ b ^ c", 2, {}, "a story of 3 scenes needs at least 3 steps"),
    ("a fox", 10, {"fade": 3}, "--fade needs a story"),
    ("a fox", 10, {"subject": -1}, "subject must be at least 0"),
    ("a fox", 10, {"negative": "text"}, "guide: negative must be a list"),
    ("a fox", 10, {"clip": "minni"}, "minni"),
    ("a fox", 10, {"precision": "fp8"}, "precision must be fp32"),
    ("a fox", 10, {"device": "gpu"}, "device must be"),
    ("a fox", 10, {"cutouts": 8}, "cutouts must be CutoutOptions but is 8"),
    ("a fox", 10, {"cuts_per_batch": 0}, "cuts_per_batch must be at least 1"),
    ("a fox", 10, {"seed": -1}, "seed must be at least 0"),
    ("", 10, {}, "prompt"),
])  # fmt: skip
def test_refused_before_anything_is_loaded(prompt, steps, options, message, monkeypatch):
    monkeypatch.delattr("guidance.objective.guide.ClipScorer")
    with pytest.raises(GuidanceError, match=message):
        guide(prompt, steps, **options)


def test_a_notebook_makes_the_picture_of_the_command(clip_path, tmp_path):
    from guidance.conventions import derive_seed, make_generator
    from guidance.images import to_pil
    from guidance.objective.regularisers import Smoothness
    from guidance.pixels import Pixels as Free
    from guidance.pixels import Rgb

    prompt = "a fox at sunrise"
    small = ["--kind", "rgb", "--size", 32, "--render-size", 32, "--steps", 4, "--seed", 3,
             "--cuts", 4, "--smoothness", 2, "--clip", clip_path, "--device", "cpu"]  # fmt: skip
    out = tmp_path / "run"
    assert command(PIXELS, [prompt, *map(str, small), "--video", "none", "-q", "-o", str(out)]) == 0
    start = make_generator(derive_seed(3, "pixels"))
    generator = Free(Rgb((32, 32), noise=0.02, generator=start), lr=0.05)
    objective = guidance.guide(
        prompt, 4, clip=clip_path, device="cpu", seed=3, cutouts=CutoutOptions(cuts=4)
    )
    for step in guidance.run(generator, objective + 2.0 * Smoothness(), 4):
        pass
    made = to_pil(step.generator.render(32, 32))
    with Image.open(out / "image.png") as saved:
        assert made.tobytes() == saved.convert("RGB").tobytes()


class Dots(guidance.Generator):
    """What somebody writes in a notebook."""

    def __init__(self):
        super().__init__()
        self.dots = torch.nn.Parameter(torch.full((1, 3, 8, 8), 0.5))
        groups = [{"name": "dots", "params": [self.dots], "lr": 0.05}]
        self.optimizer = torch.optim.Adam(groups)

    def image(self):
        """Return squares of 4 pixels."""
        return self.dots.sigmoid().repeat_interleave(4, -1).repeat_interleave(4, -2)


def test_ten_lines_are_guided(clip_path):
    objective = guidance.guide("a fox", 12, clip=clip_path, cutouts=CutoutOptions(cuts=8))
    steps = list(guidance.run(Dots(), objective, 12))
    assert steps[-1].loss < steps[0].loss - 0.01
    assert steps[-1].score > steps[0].score
