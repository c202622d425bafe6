"""ClipScorer: similarity, probabilities, ensembles, and what counts as an image."""

import math

import pytest
import torch
from PIL import Image, ImageDraw
from tiny_clip import build_tiny

from guidance.clip import load_clip
from guidance.clip.names import may_judge_alone
from guidance.clip.scorer import ClipScorer
from guidance.errors import FileError, InputError
from guidance.images import to_pil, to_tensor

TEXTS = ["a fox", "a boat", "a lemon"]


@pytest.fixture(scope="module")
def second_path(tmp_path_factory):
    return build_tiny(tmp_path_factory.mktemp("clip") / "second", seed=1, image_size=48)


@pytest.fixture(scope="module")
def second(second_path):
    return load_clip(str(second_path))


def test_similarity_is_the_cosine(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    images = torch.rand(2, 3, 40, 40)
    a, b = scorer.encode_image(images), scorer.encode_text(TEXTS)
    want = torch.nn.functional.cosine_similarity(a[:, None], b[None], dim=-1)
    got = scorer.similarity(images, TEXTS)
    assert got.shape == (2, 3)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)
    assert got.abs().max() <= 1 + 1e-6


def test_probabilities_are_the_softmax_at_the_models_scale(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    images = torch.rand(2, 3, 32, 32)
    got = scorer.probabilities(images, TEXTS)
    scale = float(tiny_clip.network.logit_scale.exp())
    assert scale == pytest.approx(1 / 0.07, rel=1e-5)
    want = (scale * scorer.similarity(images, TEXTS)).softmax(-1)
    torch.testing.assert_close(got, want, atol=1e-6, rtol=0)
    torch.testing.assert_close(got.sum(-1), torch.ones(2))


@pytest.fixture(scope="module")
def sigmoid(tmp_path_factory):
    """Return a tiny model that was trained with a sigmoid, with a bias that leaves doubts."""
    return load_clip(str(build_tiny(tmp_path_factory.mktemp("clip") / "sigmoid", bias=-1.5)))


def test_a_sigmoid_model_judges_each_text_by_itself(sigmoid):
    scorer = ClipScorer([sigmoid])
    images = torch.rand(2, 3, 32, 32)
    network = sigmoid.network
    logits = network.logit_scale.exp() * scorer.similarity(images, TEXTS) + network.logit_bias
    assert scorer.sigmoid
    got = scorer.probabilities(images, TEXTS)
    torch.testing.assert_close(got, logits.sigmoid(), atol=1e-6, rtol=0)
    alone = scorer.probabilities(images, TEXTS[:1])
    torch.testing.assert_close(alone, got[:, :1], atol=1e-6, rtol=0)
    assert alone.max() < 0.99
    compared = scorer.probabilities(images, TEXTS, softmax=True)
    torch.testing.assert_close(compared, logits.softmax(-1), atol=1e-6, rtol=0)


def test_a_bias_that_was_never_trained_makes_no_sigmoid_model(tmp_path):
    scorer = ClipScorer([load_clip(str(build_tiny(tmp_path / "zero", bias=0.0)))])
    assert not scorer.sigmoid
    assert scorer.probabilities(torch.rand(1, 3, 32, 32), TEXTS[:1]).item() == 1


def test_ensembles_judge_texts_alone_only_if_all_models_do(sigmoid, tiny_clip, tmp_path):
    other = load_clip(str(build_tiny(tmp_path / "other", seed=1, bias=-3.0)))
    images = torch.rand(2, 3, 32, 32)

    def logits(model):
        cosines = ClipScorer([model]).similarity(images, TEXTS)
        return model.logit_scale * cosines + model.logit_bias

    both = ClipScorer([sigmoid, other], weights=[1, 3])
    want = ((logits(sigmoid) + 3 * logits(other)) / 4).sigmoid()
    torch.testing.assert_close(both.probabilities(images, TEXTS), want, atol=1e-6, rtol=0)
    mixed = ClipScorer([sigmoid, tiny_clip])
    want = ((logits(sigmoid) + logits(tiny_clip)) / 2).softmax(-1)
    torch.testing.assert_close(mixed.probabilities(images, TEXTS), want, atol=1e-6, rtol=0)
    assert not mixed.sigmoid


@pytest.mark.parametrize(
    ("names", "may"),
    [
        ("mini", False),
        ("ViT-B-16-SigLIP/webli", True),
        ("ViT-B-16-SigLIP/webli,ViT-B-32/openai", False),
        ("hf-hub:somebody/some-model", True),
        ("{tiny}", False),
        ("{sigmoid}", True),
    ],
)
def test_what_may_judge_texts_alone_is_known_before_anything_is_loaded(
    names, may, tiny_clip_path, tmp_path
):
    folder = build_tiny(tmp_path / "sigmoid", bias=-1.5)
    (folder / "open_clip_model.safetensors").unlink()
    assert may_judge_alone(names.format(tiny=tiny_clip_path, sigmoid=folder)) is may


def test_both_are_differentiable_in_the_images(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    for method in (scorer.similarity, scorer.probabilities):
        images = torch.rand(2, 3, 32, 32, requires_grad=True)
        method(images, TEXTS)[:, 0].sum().backward()
        assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0


def test_similarity_gradient_points_uphill(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    images = torch.rand(1, 3, 32, 32, requires_grad=True)
    before = scorer.similarity(images, ["a fox"]).sum()
    (gradient,) = torch.autograd.grad(before, images)
    moved = images.detach() + 0.01 * gradient / gradient.norm()
    gain = scorer.similarity(moved, ["a fox"]).sum() - before
    assert gain.item() == pytest.approx(0.01 * gradient.norm().item(), rel=0.2)


@pytest.mark.parametrize("weights", [None, [1.0, 3.0]])
def test_an_ensemble_is_the_weighted_mean(tiny_clip, second, weights):
    scorer = ClipScorer([tiny_clip, second], weights=weights)
    images = torch.rand(3, 3, 50, 44)
    a, b = weights or (1, 1)
    one, two = ClipScorer([tiny_clip]), ClipScorer([second])
    want = a * one.similarity(images, TEXTS) + b * two.similarity(images, TEXTS)
    torch.testing.assert_close(scorer.similarity(images, TEXTS), want / (a + b), atol=1e-6, rtol=0)
    norms = scorer.encode_image(images).norm(dim=-1)
    torch.testing.assert_close(norms, torch.ones(3))
    logits = [
        w / (a + b) * m.logit_scale * ClipScorer([m]).similarity(images, TEXTS)
        for w, m in ((a, tiny_clip), (b, second))
    ]
    want = sum(logits).softmax(-1)
    torch.testing.assert_close(scorer.probabilities(images, TEXTS), want, atol=1e-6, rtol=0)


def test_names_as_string_or_list(tiny_clip_path, second_path, tiny_clip, second):
    images = torch.rand(1, 3, 32, 32)
    want = ClipScorer([tiny_clip, second], weights=[1, 3]).similarity(images, TEXTS)
    for names in (f"{tiny_clip_path},{second_path}:3", [str(tiny_clip_path), f"{second_path}:3"]):
        scorer = ClipScorer(names, device="cpu")
        assert scorer.weights == [0.25, 0.75]
        # texts embedded in other company differ by rounding
        torch.testing.assert_close(scorer.similarity(images, TEXTS), want, rtol=0, atol=1e-6)


def test_every_form_of_an_image(tiny_clip, tmp_path):
    scorer = ClipScorer([tiny_clip])
    picture = to_pil(torch.rand(3, 40, 56))
    picture.save(tmp_path / "a.png")
    tensor = to_tensor(picture)
    forms = [picture, tmp_path / "a.png", str(tmp_path / "a.png"), tensor, tensor[0]]
    got = scorer.encode_image(forms)
    torch.testing.assert_close(got, got[:1].expand(5, -1), atol=1e-6, rtol=0)
    torch.testing.assert_close(got[:1], scorer.encode_image(tensor), atol=1e-6, rtol=0)
    sizes = [torch.rand(3, 20, 30), torch.rand(1, 3, 64, 32)]
    assert scorer.similarity(sizes, TEXTS).shape == (2, 3)


def test_image_errors(tiny_clip, tmp_path):
    scorer = ClipScorer([tiny_clip])
    for images, message in (
        ("photo.png", "must be a tensor or a list"),
        (None, "must be a tensor or a list"),
        ([], "must not be empty"),
        ([3], "must be a path, PIL image or tensor but is int"),
        (torch.rand(3, 8, 8), r"shape \[B, 3, H, W\]"),
    ):
        with pytest.raises(InputError, match=message):
            scorer.encode_image(images)
    with pytest.raises(FileError, match="does not exist"):
        scorer.encode_image([tmp_path / "missing.png"])


@pytest.mark.parametrize(
    "weights", [[1.0], [1.0, 0.0], [1.0, -1.0], [1.0, math.nan], [1, math.inf]]
)
def test_weights_must_be_positive_and_as_many(tiny_clip, second, weights):
    with pytest.raises(InputError, match="each with a positive weight"):
        ClipScorer([tiny_clip, second], weights=weights)


def test_other_argument_errors(tiny_clip_path):
    with pytest.raises(InputError, match="at least one model"):
        ClipScorer([])
    with pytest.raises(InputError, match="weights of named models belong to the names"):
        ClipScorer(str(tiny_clip_path), weights=[1])
    with pytest.raises(InputError, match="did you mean mini"):
        ClipScorer("minni")
    with pytest.raises(InputError, match="device must be"):
        ClipScorer(str(tiny_clip_path), device="gpu")
    with pytest.raises(InputError, match="precision must be"):
        ClipScorer(str(tiny_clip_path), precision="fp8")


def drawn(name: str) -> Image.Image:
    """Return a plain drawing on white."""
    image = Image.new("RGB", (256, 256), "white")
    pen = ImageDraw.Draw(image)
    if name == "a heart":
        pen.polygon(((128, 220), (30, 110), (226, 110)), fill="red")
        pen.ellipse((26, 50, 132, 150), fill="red")
        pen.ellipse((124, 50, 230, 150), fill="red")
    elif name == "a smiling face":
        pen.ellipse((28, 28, 228, 228), fill="gold")
        pen.ellipse((80, 80, 105, 115), fill="black")
        pen.ellipse((151, 80, 176, 115), fill="black")
        pen.arc((75, 90, 181, 190), 20, 160, fill="black", width=10)
    elif name == "a house":
        pen.rectangle((60, 120, 196, 230), fill="peru")
        pen.polygon(((40, 120), (216, 120), (128, 40)), fill="firebrick")
        pen.rectangle((110, 165, 146, 230), fill="saddlebrown")
    else:
        radii, angles = (100, 40) * 5, [k * math.pi / 5 for k in range(10)]
        ends = [
            (128 + r * math.sin(a), 128 - r * math.cos(a))
            for r, a in zip(radii, angles, strict=True)
        ]
        pen.polygon(ends, fill="gold")
    return image


def test_mini_knows_simple_drawings():
    names = ["a heart", "a smiling face", "a house", "a star"]
    scorer = ClipScorer("mini", device="cpu")
    probabilities = scorer.probabilities([drawn(name) for name in names], names)
    assert probabilities.argmax(-1).tolist() == [0, 1, 2, 3]  # by chance once in 256
