"""The memory of the prior: which pictures enter it, as what, and the classes of a classifier."""

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

from guidance.clip import load_clip
from guidance.clip.prior import load_prior
from guidance.data import Sample, read
from guidance.data.shards import ShardWriter, encode
from guidance.evaluate.embed import embed_images
from guidance.train.clip import model as models
from guidance.train.prior import build as prior


def test_pictures_of_one_caption_are_one_entry():
    images = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    merged = prior.merge([("c", "d"), ("e",), ("c", "d"), ("c",)], images)
    assert list(merged) == [("c", "d"), ("e",), ("c",)]
    torch.testing.assert_close(merged["c", "d"], F.normalize(images[0] + images[2], dim=0))
    torch.testing.assert_close(merged["e",], images[1])


def test_class_images_find_the_means_behind_a_classifier():
    """Gaussian classes of one covariance, and the logits that are best for them."""
    random = torch.Generator().manual_seed(0)
    classes, dim = 20, 12
    means = torch.randn(classes, dim, generator=random) * 0.7
    spread = torch.randn(dim, dim, generator=random) / dim**0.5
    covariance = spread @ spread.T + 0.1 * torch.eye(dim)
    labels = torch.randint(classes, (4000,), generator=random)
    noise = torch.randn(4000, dim, generator=random) @ torch.linalg.cholesky(covariance).T
    features = means[labels] + noise
    weights = torch.linalg.solve(covariance, means.T)
    logits = features @ weights - 0.5 * (means.T * weights).sum(0)
    offset = means - means.mean(0)
    found = prior.imagine_classes(features, logits)
    likeness = F.normalize(found, dim=-1) @ F.normalize(offset, dim=-1).T
    assert (likeness.argmax(1) == torch.arange(classes)).float().mean() > 0.9


def test_train_remembers_pictures_by_caption(tmp_path, capsys):
    import timm

    rng = np.random.default_rng(0)
    thing = [f"thing {i}" for i in range(6)]
    captions = {
        "photos": [thing[:3], [*thing[:2], thing[5]]],
        "drawings": [thing[:2], [thing[3]]],
        "scenes": [[thing[4]], [thing[4]], [thing[4], thing[2]], []],
    }
    for name, lists in captions.items():
        with ShardWriter(tmp_path, name) as writer:
            for i, texts in enumerate(lists):
                mode = "RGBA" if name == "drawings" else "RGB"
                colour = tuple(int(c) for c in rng.integers(0, 256, len(mode)))
                picture = Image.new(mode, (40, 40), colour)
                writer.add(Sample(f"{name}{i}", tuple(texts)), *encode(picture))
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "lite0.pth")
    config = models.read_config("tiny")
    models.save_folder(config, models.build(config).state_dict(), tmp_path / "clip")
    paths = {name: str(tmp_path / f"{name}-*.tar") for name in captions}
    options = prior.PriorOptions(
        clip=str(tmp_path / "clip"), photos=(paths["photos"],),
        drawings=(paths["drawings"], paths["scenes"]), classifier=tmp_path / "lite0.pth",
        val=(paths["photos"],), out=tmp_path / "clip-prior.safetensors", rank=128,
    )  # fmt: skip
    prior.train(options)
    said = capsys.readouterr().out
    # (0, 1), (3,), (4,), (4, 2) and the classes
    assert "1004 entries" in said
    assert "cosine of prior and image" in said
    kept = load_prior(options.out)
    drawing = embed_images(load_clip(options.clip), read([paths["drawings"]]), [1])  # "thing 3"
    values = (kept.image_codes.float() @ kept.image_basis.float())[:4]
    assert (values @ drawing.T).max() > 0.999
