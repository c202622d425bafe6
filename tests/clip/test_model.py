"""ClipModel against open_clip's own encoders, and what it promises about texts and gradients."""

import copy
import time
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess
from guidance.errors import InputError

MEAN, STD = (0.48, 0.46, 0.41), (0.27, 0.26, 0.28)
TEXT = {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VIT = {"image_size": 32, "layers": 2, "width": 64, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 16, "head_width": 16}
TIMM = {"image_size": 64, "timm_model_name": "tf_efficientnet_lite0", "timm_proj": "linear"}
TIMM |= {"timm_model_pretrained": False, "timm_pool": "avg"}


def make_network(kind: str) -> nn.Module:
    """Return a tiny frozen open_clip model with weights that make every part count."""
    import open_clip

    torch.manual_seed(0)
    if kind == "CoCa":
        decoder = {"width": 32, "heads": 2, "layers": 1, "context_length": 15}
        vision = {**VIT, "attentional_pool": True, "attn_pooler_heads": 2}
        text = {**TEXT, "embed_cls": True, "output_tokens": True, "context_length": 15}
        network = open_clip.CoCa(24, decoder, text, {**vision, "output_tokens": True})
    else:
        vision = {"ViT": VIT, "ResNet": RESNET, "CustomText": VIT, "timm": TIMM}[kind]
        build = open_clip.CLIP if kind in ("ViT", "ResNet") else open_clip.CustomTextCLIP
        network = build(embed_dim=24, vision_cfg=vision, text_cfg=TEXT)
    for name, parameter in network.named_parameters():
        if "bias" in name:
            nn.init.normal_(parameter, std=0.1)
    return network.eval().requires_grad_(False)


def wrap(network: nn.Module, size: int = 32, **options) -> ClipModel:
    import open_clip

    length = 15 if isinstance(network, open_clip.CoCa) else 16
    tokenizer = open_clip.SimpleTokenizer(context_length=length)
    return ClipModel(network, tokenizer, Preprocess(size, MEAN, STD), name="test", **options)


KINDS = {"ViT": 32, "ResNet": 64, "CustomText": 32, "timm": 64, "CoCa": 32}


@pytest.mark.parametrize("kind", KINDS)
def test_features_equal_open_clip(kind):
    import open_clip

    stock = make_network(kind)
    model = wrap(copy.deepcopy(stock), KINDS[kind])
    images = torch.rand(3, 3, KINDS[kind], KINDS[kind])
    normalised = (images - torch.tensor(MEAN).view(3, 1, 1)) / torch.tensor(STD).view(3, 1, 1)
    want = F.normalize(stock.encode_image(normalised), dim=-1)
    torch.testing.assert_close(model.encode_image(images), want, atol=1e-5, rtol=0)
    tokens = open_clip.SimpleTokenizer(context_length=TEXT["context_length"] - (kind == "CoCa"))
    texts = ["a fox", "two boats at night"]
    want = F.normalize(stock.encode_text(tokens(texts)), dim=-1)
    torch.testing.assert_close(model.encode_text(texts), want, atol=1e-5, rtol=0)
    assert not torch.allclose(want[0], want[1], atol=1e-2)


@pytest.mark.parametrize("kind", ["ViT", "timm"])
def test_gradient_reaches_images_and_no_parameter(kind):
    model = wrap(make_network(kind), KINDS[kind])
    images = torch.rand(2, 3, 40, 30, requires_grad=True)
    model.encode_image(images).sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().amax(dim=(1, 2, 3)).min() > 0
    assert not any(p.requires_grad or p.grad is not None for p in model.parameters())
    assert not model.encode_text(["a fox"]).requires_grad


@pytest.mark.parametrize("kind", KINDS)
def test_bf16_is_close(kind):
    network = make_network(kind)
    images = torch.rand(4, 3, KINDS[kind], KINDS[kind])
    full = wrap(copy.deepcopy(network), KINDS[kind])
    half = wrap(network, KINDS[kind], precision="bf16")
    features = half.encode_image(images)
    assert features.dtype == torch.float32
    assert features.norm(dim=-1) == pytest.approx(torch.ones(4), abs=1e-5)
    assert (features * full.encode_image(images)).sum(-1).min() > 0.995
    # the text tower is not rounded
    assert torch.equal(half.encode_text(["a fox"]), full.encode_text(["a fox"]))
    images.requires_grad_()
    features = half.encode_image(images)
    features.square().cumsum(-1).sum().backward()
    assert images.grad.isfinite().all()
    assert images.grad.abs().sum() > 0


def test_fp16_on_the_cpu_is_refused():
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        wrap(make_network("ViT"), precision="fp16")
    with pytest.raises(InputError, match="precision must be fp32, bf16, fp16 but is 'int8'"):
        wrap(make_network("ViT"), precision="int8")


@pytest.mark.parametrize(
    ("texts", "message"),
    [("a fox", "must be a list"), ([], "must not be empty"), (["a", 3], "must be a list")],
)
def test_text_errors(tiny_clip, texts, message):
    with pytest.raises(InputError, match=message):
        tiny_clip.encode_text(texts)


def test_image_errors(tiny_clip):
    for images in (torch.rand(3, 8, 8), torch.rand(1, 4, 8, 8), torch.rand(0, 3, 8, 8)):
        with pytest.raises(InputError, match="images must"):
            tiny_clip.encode_image(images)
    with pytest.raises(InputError, match="floating point"):
        tiny_clip.encode_image(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))


def test_each_text_is_computed_once():
    network = make_network("ViT")
    model = wrap(network)
    rows = []
    hook = network.token_embedding.register_forward_hook(
        lambda module, inputs, output: rows.append(len(output))
    )
    first = model.encode_text(["a fox", "a wolf", "a fox"])
    second = model.encode_text(["a wolf", "a fox", "a bear"])
    hook.remove()
    assert rows == [2, 1]
    assert torch.equal(first[[1, 2]], second[:2])
    assert torch.equal(first[0], first[2])


def cut_words(model: ClipModel, text: str) -> str:
    """Return the one warning that `text` causes, or an empty string."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        embedding = model.encode_text([text])
    assert embedding.isfinite().all()
    assert len(caught) <= 1
    return str(caught[0].message) if caught else ""


def test_long_prompts_warn_with_the_words_cut(tiny_clip):
    fits = " ".join(["fox"] * 14)  # 16 tokens with start and end
    assert cut_words(tiny_clip, fits) == ""
    said = cut_words(tiny_clip, fits + " in a boat")
    assert "longer than the 16 tokens" in said
    assert "its last 3 words are ignored: 'in a boat'" in said
    said = cut_words(tiny_clip, fits + " red" * 40)
    assert "its last 40 words" in said
    assert said.endswith("…'")
    both = tiny_clip.encode_text([fits, fits + " red" * 40])
    assert torch.equal(both[0], both[1])


def test_a_word_cut_inside_is_named(tiny_clip):
    chinese = "夕阳下的狐狸在河边喝水然后慢慢地走回山里的森林去了"
    said = cut_words(tiny_clip, chinese)
    assert "its last word is ignored" in said
    rest = said.partition("ignored: '")[2].rstrip("'")
    assert rest
    assert chinese.endswith(rest)
    assert len(rest) < len(chinese)
    assert cut_words(tiny_clip, "狐狸 🦊") == ""


@pytest.mark.parametrize("text", ["", "   ", "🦊", "狐狸", "café\n\tnoir", "\x00", "<end_of_text>"])
def test_odd_texts_embed(tiny_clip, text):
    assert cut_words(tiny_clip, text) == ""
    assert tiny_clip.encode_text([text]).norm().item() == pytest.approx(1, abs=1e-5)


def test_emoji_and_chinese_are_told_apart(tiny_clip):
    cosines = tiny_clip.encode_text(["🦊", "🚗"]) @ tiny_clip.encode_text(["狐狸", "汽车"]).T
    assert cosines.max() < 0.999


@pytest.mark.parametrize("text", ["word " * 10_000, "狐" * 10_000, "ab1 " * 10_000])
def test_a_very_long_prompt_is_quick(tiny_clip, text):
    start = time.process_time()
    assert "ignored" in cut_words(tiny_clip, text)
    assert time.process_time() - start < 10  # seconds; about 1 on a quiet core


def test_images_of_any_size_and_their_order(tiny_clip):
    images = torch.rand(5, 3, 50, 41)
    together = tiny_clip.encode_image(images)
    alone = torch.cat([tiny_clip.encode_image(image[None]) for image in images])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)
    assert together.shape == (5, 32)
    assert together.norm(dim=-1) == pytest.approx(torch.ones(5), abs=1e-5)
