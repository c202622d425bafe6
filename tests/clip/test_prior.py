"""The prior: its mathematics against plain sums, its file, and the models that have one."""

import shutil

import pytest
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from safetensors.torch import load_file, save_file

from guidance.clip import load_clip
from guidance.clip.prior import TEMPERATURE, Prior, load_prior, prior_file, remember
from guidance.errors import ModelError
from guidance.images import to_tensor


def pairs(count: int = 60, dim: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    texts, images = torch.randn(2, count, dim, generator=generator) + 0.5
    return F.normalize(texts, dim=-1), F.normalize(images, dim=-1)


def test_it_is_the_mean_image_weighted_by_likeness():
    texts, images = pairs()
    query = F.normalize(texts[:3] + 0.3 * texts[3:6], dim=-1)
    expected = []
    for row in query.double():
        weights = torch.stack([(row @ text / TEMPERATURE).exp() for text in texts.double()])
        mean = sum(w * image for w, image in zip(weights, images.double(), strict=True))
        expected.append(mean / mean.norm())
    result = Prior(remember(texts, images, rank=32))(query)
    assert F.cosine_similarity(result.double(), torch.stack(expected)).min() > 0.999
    torch.testing.assert_close(result.norm(dim=-1), torch.ones(3))


def test_a_caption_it_knows_gives_its_picture():
    texts, images = pairs()
    result = Prior(remember(texts, images, rank=32))(texts)
    assert ((result @ images.T).argmax(1) == torch.arange(len(texts))).all()


def test_what_is_remembered_is_small_and_close():
    texts, images = pairs(2000)
    state = remember(texts, images, rank=24)
    assert sum(v.numel() * v.element_size() for v in state.values()) < 0.4 * 2 * texts.numel() * 2
    for side, rows in (("text", texts), ("image", images)):
        codes, basis = state[f"{side}.codes"].float(), state[f"{side}.basis"].float()
        error = (codes @ basis - rows).norm() / rows.norm()
        singular = torch.linalg.svdvals(rows)
        best = (singular[24:].square().sum() / singular.square().sum()).sqrt()
        assert best <= error < best + 0.01  # Eckart-Young, and the rounding


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a copy of the tiny model with a prior beside its weights."""
    folder = shutil.copytree(tiny_clip_path, tmp_path / "model")
    save_file(remember(*pairs(), rank=16), prior_file(folder / "open_clip_model.safetensors"))
    return folder


def test_a_folder_brings_its_prior(folder, tiny_clip):
    model = load_clip(str(folder))
    texts = ["a fox", "a boat"]
    torch.testing.assert_close(model.encode_text(texts), tiny_clip.encode_text(texts))
    expected = load_prior(folder / "open_clip_model-prior.safetensors")(model.encode_text(texts))
    assert torch.equal(model.imagine(texts), expected)
    assert torch.equal(tiny_clip.imagine(texts), tiny_clip.encode_text(texts))  # it has none


def test_weights_of_any_name_are_found_beside_their_prior(folder):
    (folder / "open_clip_model.safetensors").rename(folder / "weights.safetensors")
    prior = folder / "open_clip_model-prior.safetensors"
    prior.rename(folder / "weights-prior.safetensors")
    assert load_clip(str(folder)).prior is not None


def damage_codes(state):
    state["text.codes"] = state["text.codes"][:, :3].contiguous()


def drop_pairs(state):
    state["text.codes"] = state["text.codes"][:3].contiguous()


def drop_side(state):
    del state["image.basis"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (damage_codes, "not a readable prior: codes of length 3"),
        (drop_pairs, "its texts and images do not match"),
        (drop_side, "not a readable prior"),
    ],
)
def test_a_damaged_prior_is_refused(folder, change, message):
    path = folder / "open_clip_model-prior.safetensors"
    state = load_file(path)
    change(state)
    save_file(state, path)
    with pytest.raises(ModelError, match=message):
        load_clip(str(folder))


def test_what_is_no_prior_at_all_is_refused(folder):
    (folder / "open_clip_model-prior.safetensors").write_bytes(b"not a file of tensors")
    with pytest.raises(ModelError, match="is not a readable prior"):
        load_clip(str(folder))


def test_the_prior_of_another_model_is_refused(folder):
    path = folder / "open_clip_model-prior.safetensors"
    save_file(remember(*pairs(dim=48), rank=16), path)
    with pytest.raises(ModelError, match="is for embeddings of length 48, not 32"):
        load_clip(str(folder))


def test_mini_imagines_pictures():
    """What mini imagines is far from the words, and nearer to pictures of the thing."""
    mini = load_clip("mini", guide=True)
    words = ["a red apple", "the blue sea"]
    imagined, texts = mini.imagine(words), mini.encode_text(words)
    assert ((imagined * texts).sum(1) < 0.5).all()  # the modality gap
    apple, sea = Image.new("RGB", (128, 128), "white"), Image.new("RGB", (128, 128), "#9fd0f5")
    ImageDraw.Draw(apple).ellipse((25, 25, 103, 103), fill="#d01818")
    ImageDraw.Draw(sea).rectangle((0, 70, 128, 128), fill="#1560b0")
    with torch.no_grad():
        seen = mini.encode_image(torch.stack([to_tensor(apple)[0], to_tensor(sea)[0]]))
    assert (seen @ imagined.T).argmax(1).tolist() == [0, 1]
    assert ((seen * imagined).sum(1) > (seen * texts).sum(1) + 0.2).all()
