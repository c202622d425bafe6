"""Denoising: against plain loops and diffusers' own pipelines, batches, edits."""

from __future__ import annotations

import contextlib
from dataclasses import replace

import pytest
import tiny_diffusion
import torch
from diffusing import TARGET, finish, make, noise, pictures, plain

from guidance.diffusion import DiffusionOptions
from guidance.diffusion.technique import DIFFUSION
from guidance.errors import DivergedError, InputError
from guidance.images.canvas import tile
from guidance.models.load_denoiser import load_denoiser
from guidance.objective.regularisers import Likeness
from guidance.step.loop import run


@pytest.mark.parametrize("sampler", ["ddim", "euler"])
def test_scale_one_is_the_conditional_model_and_zero_the_unconditional(models, sampler):
    model = models["sd"]
    told, untold = model.condition(["a fox"])[0], model.empty()
    one = pictures(model, cfg=1.0, sampler=sampler)
    zero = pictures(model, cfg=0.0, sampler=sampler)
    assert torch.equal(one, plain(model, told, name=sampler))
    assert torch.equal(zero, plain(model, untold, name=sampler))
    assert (one - zero).abs().mean() > 1e-3
    three = pictures(model, cfg=3.0, sampler=sampler)
    # extrapolated, on the far side of the conditional model
    assert (three - zero).abs().mean() > 1.5 * (one - zero).abs().mean()


def test_no_clip_guidance_is_the_plain_sampler(models):
    unguided = pictures(models["ddpm"], clip_scale="0")
    assert torch.equal(unguided, plain(models["ddpm"], None))
    assert not torch.equal(unguided, pictures(models["ddpm"], clip_scale="10"))


def test_the_pipeline_of_diffusers_makes_the_same_pictures(models, tmp_path):
    pipe = tiny_diffusion.pipeline("sd", tmp_path)
    pipe.scheduler = type(pipe.scheduler).from_config(
        pipe.scheduler.config, timestep_spacing="trailing", set_alpha_to_one=True
    )
    folder = tiny_diffusion.save(tmp_path / "sd", schedule={"timestep_spacing": "trailing"})
    model = load_denoiser(str(folder), device="cpu")
    want = pipe(
        "a red fox",
        negative_prompt="blue",
        latents=noise(model, (3,)),
        guidance_scale=4.0,
        guidance_rescale=0.3,
        num_inference_steps=5,
        output_type="pt",
    ).images
    options = {"cfg": 4.0, "cfg_rescale": 0.3, "steps": 5, "seed": 3, "number": 1}
    ours = pictures(model, prompt="a red fox", negative=("blue",), **options)
    torch.testing.assert_close(ours, want, atol=1e-5, rtol=1e-4)


def test_both_answers_at_once_or_one_by_one(models):
    together, apart = (make(models["sd"], cfg=3.0) for _ in range(2))
    apart.cfg = replace(apart.cfg, joint=False)
    torch.testing.assert_close(finish(together)[-1].image, finish(apart)[-1].image)


def test_a_picture_depends_on_its_own_seed(models):
    options = {"sampler": "dpm++sde", "cfg": 2.0, "clip_scale": "20"}
    three = pictures(models["sd"], number=3, seed=5, **options)
    for k in range(3):
        alone = pictures(models["sd"], number=1, seed=5 + k, **options)
        torch.testing.assert_close(three[k : k + 1], alone, atol=1e-4, rtol=1e-3)
    assert (three[0] - three[1]).abs().mean() > 0.01


@pytest.mark.parametrize("gradient", ["full", "direct"])
def test_batches_are_the_whole(models, gradient):
    options = {"number": 3, "cfg": 2.0, "clip_scale": "20", "gradient": gradient, "smoothness": 1.0}
    whole = finish(make(models["sd"], **options))
    parts = finish(make(models["sd"], batch=2, **options))
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one.image, other.image, atol=1e-4, rtol=1e-3)
        assert one.loss == pytest.approx(other.loss, rel=1e-3)
        assert set(one.terms) == set(other.terms)


@pytest.mark.parametrize("gradient", ["full", "direct"])
@pytest.mark.parametrize(("kind", "scale", "clamp", "bar"),
                         [("sd", "10000", 1.0, 0.94), ("ddpm", "1000", 0.0, 0.5)])  # fmt: skip
def test_guidance_follows_the_objective(models, gradient, kind, scale, clamp, bar):
    losses = []
    for one in ("0", scale):
        options = {"clip_scale": one, "gradient": gradient, "steps": 8, "clamp": clamp}
        losses.append(finish(make(models[kind], **options))[-1].loss)
    assert losses[1] < bar * losses[0]


def test_the_objective_is_asked_where_it_guides_and_in_the_end(models):
    steps = finish(make(models["ddpm"], steps=6, clip_scale="5", guide_every=2, guide_until=0.7))
    asked = [step.loss == step.loss for step in steps]
    assert asked == [True, False, True, False, True, True]
    assert torch.equal(steps[-1].image, steps[-1].generator.image())
    assert steps[-1].loss == pytest.approx(Likeness(TARGET)(steps[-1].image).item())
    assert not any(step.skipped for step in steps)


def test_a_step_that_is_not_guided_decodes_only_for_those_who_look(models, monkeypatch):
    model, asked = models["sd"], []
    decode = type(model).decode
    monkeypatch.setattr(
        type(model), "decode", lambda self, x, **k: asked.append(len(x)) or decode(self, x, **k)
    )
    steps = finish(make(model, clip_scale="0"))
    assert len(asked) == 1, "the finished pictures alone"
    seen = [step.image for step in steps]
    assert len(asked) == len(steps)
    assert all(step.image is image for step, image in zip(steps, seen, strict=True))
    assert len(asked) == len(steps), "once each"
    generator = make(model, clip_scale="0")
    for step in run(generator, Likeness(TARGET), 4):
        assert torch.equal(generator.frame(16, 32), tile(step.image, 16, 32)), "the video's"


def test_dynamic_thresholding_keeps_pixels_in_range(models):
    model = models["ddpm"]
    for threshold, most in ((0.0, None), (0.9, 1.0)):
        generator = make(model, threshold=threshold, steps=3)
        for step in run(generator, Likeness(TARGET), 3):
            if most is None:
                assert step.index or generator.clean.abs().max() > 1.5
            else:
                assert generator.clean.abs().max() <= most + 1e-5


def test_range_holds_pixels_back(models):
    """Its weight counts beside the objective: here the picture is as wild as it comes, or tame."""

    def wildest(**values) -> float:
        generator = make(models["ddpm"], clip_scale="1", clamp=0.3, steps=8, **values)
        finish(generator, 0.0 * Likeness(TARGET))
        return generator.clean.abs().max().item()

    assert wildest(range=100.0) < 0.9 * wildest()


def test_a_network_that_overflows_ends_the_run(folders):
    model = load_denoiser(str(folders["ddpm"]), device="cpu")
    generator = make(model, steps=4)
    stream = run(generator, Likeness(TARGET), 4)
    next(stream)
    before = generator.x.clone()
    model.network.conv_out.weight.fill_(torch.inf)
    with pytest.raises(DivergedError, match=r"step 1 is not finite.*--precision fp32"):
        next(stream)
    assert torch.equal(generator.x, before)
    assert generator.image().isfinite().all()


def test_frames_show_all_pictures(models):
    generator = make(models["ddpm"], number=3)
    assert generator.frame(64, 64).shape == (1, 3, 64, 64)
    step = finish(generator)[-1]
    sheet = generator.frame(64, 64)
    assert torch.equal(sheet[0, :, :32, 32:], step.image[1])
    assert torch.equal(sheet[0, :, 32:, :32], step.image[2])
    assert (sheet[0, :, 32:, 32:] == 1).all()
    alone = make(models["ddpm"], number=1)
    assert torch.equal(alone.frame(32, 32), alone.image())


def test_render(models):
    generator = make(models["ddpm"])
    finish(generator)
    assert torch.equal(generator.render(32, 32), generator.image())
    large = generator.render(64, 48)
    assert large.shape == (2, 3, 64, 48)
    assert 0 <= large.min() <= large.max() <= 1


def test_the_network_is_no_part_of_the_state(models):
    state = make(models["sd"]).state_dict()
    assert sum(t.numel() for t in state.values()) < 4 * 2 * 4 * 8 * 8
    assert not list(make(models["sd"]).parameters())


def test_what_a_network_cannot_do(models):
    with pytest.raises(InputError, match="--cfg needs a model that takes prompts"):
        make(models["ddpm"], cfg=2.0)
    with pytest.raises(InputError, match="--threshold is for models that work on pixels"):
        make(models["sd"], threshold=0.9)
    with pytest.raises(InputError, match="has 4 steps but is asked for 7"):
        next(run(make(models["ddpm"]), Likeness(TARGET), 7))


def test_steps_from_python(folders, tiny_clip_path):
    import guidance

    options = {"model": str(folders["sd"]), "clip": str(tiny_clip_path), "cuts": 2, "device": "cpu"}
    steps = list(guidance.diffuse("a fox", steps=2, number=1, clip_scale=30, cfg=None, **options))
    assert [step.image.shape for step in steps] == [(1, 3, 32, 32)] * 2
    assert all(step.score == step.score for step in steps)
    with pytest.raises(InputError, match="did you mean sampler"):
        guidance.diffuse("a fox", samplr="ddim")


def test_the_technique_has_no_size_of_its_own():
    assert DIFFUSION.final_size(DiffusionOptions(prompt="x", size="64")) is None


def test_interrupted_generators_still_show_something(models):
    generator = make(models["sd"])
    with contextlib.closing(run(generator, Likeness(TARGET), 4)) as stream:
        step = next(stream)
    assert generator.image().shape == step.image.shape
    assert not generator.finished
