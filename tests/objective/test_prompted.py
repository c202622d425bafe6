"""Objectives: the distance, its weights, stops and schedules, and operators."""

import math

import pytest
import torch
from PIL import Image
from tiny_clip import build_tiny, unit

from guidance.clip import load_clip
from guidance.clip.scorer import ClipScorer
from guidance.conventions import derive_seed, make_generator
from guidance.errors import FileError, InputError
from guidance.objective.aims import take_aims
from guidance.objective.cutouts import CutoutOptions, apply_cuts, sample_cuts
from guidance.objective.prompted import Evaluation, Objective, PromptObjective, spherical_distance
from guidance.objective.regularisers import Likeness, Smoothness
from guidance.objective.text_off import clouds, text_directions, without_direction
from guidance.prompts.grammar import Prompt

PLAIN = CutoutOptions(cuts=4, overview=1, min_cut=0.3, augment=())


@pytest.fixture(scope="module")
def other_clip(tmp_path_factory):
    """Return a tiny model of another input size."""
    return load_clip(str(build_tiny(tmp_path_factory.mktemp("clip") / "b", seed=1, image_size=48)))


def image(requires_grad: bool = False) -> torch.Tensor:
    pixels = torch.rand(1, 3, 40, 52, generator=torch.Generator().manual_seed(1))
    return pixels.requires_grad_(requires_grad)


def features_of(model, objective, step: int = 0) -> torch.Tensor:
    """Return the features of the cuts `objective` takes of `image()`, computed by hand."""
    generator = make_generator(derive_seed(objective.seed, "cuts", step))
    cuts = sample_cuts(objective.cutouts, 40, 52, generator=generator)
    return model.encode_image(apply_cuts(image(), cuts, model.image_size))


def test_text_off_is_blind_to_writing(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    direction = text_directions(scorer, clouds(16, seed=3))
    objective = PromptObjective(scorer, [Prompt("a fox")], PLAIN, seed=3, text_off=True)
    features = features_of(tiny_clip, objective)
    target = tiny_clip.encode_text(["a fox"])
    wanted = spherical_distance(without_direction(features, direction), target).mean()
    assert objective(image()).item() == pytest.approx(wanted.item(), rel=1e-5)
    sighted = PromptObjective(scorer, [Prompt("a fox")], PLAIN, seed=3)(image())
    assert abs(sighted.item() - wanted.item()) > 1e-4
    # features that differ in what writing does are the same to it
    other = torch.nn.functional.normalize(features + 0.5 * direction, dim=-1)
    torch.testing.assert_close(
        without_direction(other, direction), without_direction(features, direction)
    )


def test_distance_is_half_the_squared_angle():
    a, b = unit(50, 8).double(), unit(50, 8, seed=1).double()
    angle = (a * b).sum(-1).clamp(-1, 1).acos()
    torch.testing.assert_close(spherical_distance(a, b), angle.square() / 2, atol=1e-6, rtol=1e-5)
    zero = spherical_distance(a[0], a[0])
    assert 0 <= zero < 1e-9
    assert spherical_distance(a[0], -a[0]) == pytest.approx(math.pi**2 / 2, rel=5e-3)
    assert spherical_distance(a[:3, None], b[None, :5]).shape == (3, 5)


def test_distance_gradcheck():
    b = unit(6, 5, seed=1).double()
    a = unit(6, 5).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: spherical_distance(x, b), a)


def test_distance_gradient_is_finite_at_both_ends():
    for sign in (1, -1):
        a = unit(4, 8).requires_grad_()
        spherical_distance(a, sign * a.detach()).sum().backward()
        assert a.grad.isfinite().all()


def test_loss_is_the_formula(tiny_clip):
    prompts = [Prompt("a fox", 2.0), Prompt("a boat", -0.5)]
    objective = PromptObjective(ClipScorer([tiny_clip]), prompts, PLAIN, seed=3)
    features = features_of(tiny_clip, objective, step=7)
    cosines = features @ tiny_clip.encode_text(["a fox", "a boat"]).T
    distances = cosines.acos().square() / 2
    said = objective.evaluate(image(), step=7)
    want = 2 * distances[:, 0].mean() - 0.5 * distances[:, 1].mean()
    torch.testing.assert_close(said.loss, want, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(said.score, cosines[:, 0].mean(), atol=1e-5, rtol=0)
    assert said.terms["prompts"] == said.loss


def test_negative_weights_push_away(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    gradients = []
    for weight in (1.0, -1.0, -2.0):
        x = image(requires_grad=True)
        PromptObjective(scorer, [Prompt("a fox", weight)], PLAIN)(x).backward()
        gradients.append(x.grad)
    torch.testing.assert_close(gradients[1], -gradients[0])
    torch.testing.assert_close(gradients[2], -2 * gradients[0])


def test_no_gradient_past_the_stop(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    free = PromptObjective(scorer, [Prompt("a fox")], PLAIN)
    distances = spherical_distance(
        features_of(tiny_clip, free), tiny_clip.encode_text(["a fox"])
    ).sort()[0]

    def gradient(stop, weight=1.0):
        x = image(requires_grad=True)
        loss = PromptObjective(scorer, [Prompt("a fox", weight, stop)], PLAIN)(x)
        loss.backward()
        return x.grad, loss

    near, far = float(distances[0]) - 1e-3, float(distances[-1]) + 1e-3
    whole, loss = gradient(near)
    x = image(requires_grad=True)
    free(x).backward()
    assert torch.equal(whole, x.grad)
    none, loss = gradient(far)
    assert none.abs().max() == 0
    assert loss.item() == pytest.approx(far, abs=1e-5)
    some, _ = gradient(float(distances[1:3].mean()))
    assert 0 < some.abs().sum() < whole.abs().sum()
    # a negative prompt stops at a distance: its signed distance is below the negative stop
    assert gradient(-near, -1.0)[0].abs().max() == 0
    torch.testing.assert_close(gradient(-far, -1.0)[0], -whole)


def test_schedules_switch_prompts(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    fox, wolf = Prompt("a fox", end=3), Prompt("a wolf", start=3)
    both = PromptObjective(scorer, [fox, wolf], PLAIN)
    for step, text in ((0, "a fox"), (2, "a fox"), (3, "a wolf"), (9, "a wolf")):
        alone = PromptObjective(scorer, [Prompt(text)], PLAIN)
        assert torch.equal(both(image(), step), alone(image(), step))


def test_no_active_prompt_is_no_force(tiny_clip):
    later = PromptObjective(ClipScorer([tiny_clip]), [Prompt("a fox", start=5)], PLAIN)
    x = image(requires_grad=True)
    said = later.evaluate(x, 0)
    said.loss.backward()
    assert said.loss == 0
    assert x.grad.abs().max() == 0


def test_image_and_noise_prompts(tiny_clip, tmp_path):
    scorer = ClipScorer([tiny_clip])
    pixels = (image()[0].permute(1, 2, 0) * 255).round().byte().numpy()
    Image.fromarray(pixels).save(tmp_path / "a.png")
    objective = PromptObjective(scorer, [Prompt(str(tmp_path / "a.png"), kind="image")], PLAIN)
    want = features_of(tiny_clip, objective) @ tiny_clip.encode_image(image()).T
    assert objective.evaluate(image()).score.item() == pytest.approx(want.mean().item(), abs=1e-3)
    noise = [
        PromptObjective(scorer, [Prompt(seed, kind="noise")], PLAIN)(image()) for seed in "112"
    ]
    assert noise[0] == noise[1] != noise[2]
    with pytest.raises(FileError, match="does not exist"):
        PromptObjective(scorer, [Prompt("none.png", kind="image")], PLAIN)


def test_an_ensemble_of_sizes_is_the_weighted_mean(tiny_clip, other_clip):
    prompts = [Prompt("a fox"), Prompt("a boat", -0.3)]
    alone = []
    for model in (tiny_clip, other_clip):
        x = image(requires_grad=True)
        loss = PromptObjective(ClipScorer([model]), prompts, PLAIN)(x)
        loss.backward()
        alone.append((loss.detach(), x.grad))
    for per_batch in (None, 1):
        x = image(requires_grad=True)
        scorer = ClipScorer([tiny_clip, other_clip], weights=[1, 3])
        loss = PromptObjective(scorer, prompts, PLAIN, cuts_per_batch=per_batch)(x)
        loss.backward()
        for got, part in ((loss.detach(), 0), (x.grad, 1)):
            want = 0.25 * alone[0][part] + 0.75 * alone[1][part]
            torch.testing.assert_close(got, want, atol=1e-5, rtol=1e-4)


def test_operators():
    def value(objective):
        return float(objective(image()))

    smooth, like = Smoothness(), Likeness(torch.zeros(1, 3, 40, 52))
    s, k = value(smooth), value(like)
    assert s > 0.01
    assert k > 0.1
    for objective, want in (
        (smooth + like, s + k),
        (smooth - like, s - k),
        (0.1 * smooth, 0.1 * s),
        (smooth * 3, 3 * s),
        (-smooth, -s),
        (2 * (smooth - 0.5 * like) + smooth, 3 * s - k),
    ):
        assert value(objective) == pytest.approx(want, rel=1e-5)
        said = objective.evaluate(image())
        assert sum(float(v) for v in said.terms.values()) == pytest.approx(want, rel=1e-5)
    assert (smooth + 0.1 * like).name == "smoothness + likeness"


def test_a_sum_has_the_score_of_its_prompts(tiny_clip):
    prompts = PromptObjective(ClipScorer([tiny_clip]), [Prompt("a fox")], PLAIN)
    want = prompts.evaluate(image()).score
    assert (0.1 * Smoothness() - 3 * prompts).evaluate(image()).score == want
    assert (Smoothness() + Smoothness()).evaluate(image()).score is None


def test_argument_errors(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    with pytest.raises(InputError, match="prompts must not be empty"):
        PromptObjective(scorer, [])
    for value, message in ((0, "at least 1"), (1.5, "whole number")):
        with pytest.raises(InputError, match=f"cuts_per_batch must be .*{message}"):
            PromptObjective(scorer, [Prompt("a")], cuts_per_batch=value)
    with pytest.raises(InputError, match=r"images? must have shape"):
        PromptObjective(scorer, [Prompt("a")])(torch.rand(3, 8, 8))
    with pytest.raises(NotImplementedError):
        Objective()(image())
    assert Evaluation(torch.zeros(())).terms == {}


def test_texts_aim_at_what_the_prior_imagines(with_prior):
    prompts = [Prompt("a fox"), Prompt("a boat", -0.5), Prompt("a cat", 1.0, 0.1)]
    objective = PromptObjective(ClipScorer([with_prior]), prompts, PLAIN)
    features = features_of(with_prior, objective)
    _, boat, cat = with_prior.encode_text(["a fox", "a boat", "a cat"])
    aims = take_aims(with_prior, prompts, with_prior.encode_text(["a fox", "a boat", "a cat"]))
    confused, fox = aims.confusion(features, 0), aims.targets[0]
    far = spherical_distance(features, boat).mean() * 0.5
    near = spherical_distance(features, fox).mean() + spherical_distance(features, cat).mean()
    result = objective.evaluate(image())
    assert result.loss == pytest.approx(float(near - far + confused), abs=1e-5)
    words = with_prior.encode_text(["a fox", "a cat"])
    assert result.score == pytest.approx(float((features @ words.T).mean()), abs=1e-5)


def test_no_prior_on_request(with_prior, tiny_clip):
    prompts = [Prompt("a fox")]
    plain = PromptObjective(ClipScorer([with_prior]), prompts, PLAIN, prior=False)
    same = PromptObjective(ClipScorer([tiny_clip]), prompts, PLAIN)  # equal weights, but no prior
    aimed = PromptObjective(ClipScorer([with_prior]), prompts, PLAIN)
    losses = [float(o.evaluate(image()).loss) for o in (plain, same, aimed)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert abs(losses[0] - losses[2]) > 0.01
