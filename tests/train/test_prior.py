"""The memory of the prior: which pictures enter it, as what, and the classes of a classifier."""

import json

import numpy as np
import torch
import torch.nn.functional as F

from guidance.clip.prior import load_prior
from guidance.train import model as mini
from guidance.train import prior

SIDE = 144


def test_drawings_come_on_white():
    pixels = np.zeros((4, 4, 4), np.uint8)
    pixels[:2] = (100, 0, 0, 128)  # premultiplied: half-transparent red
    shown = np.asarray(prior.picture(pixels))
    assert shown[0, 0].tolist() == [227, 127, 127]
    assert (shown[2:] == 255).all()


def test_pictures_of_one_caption_are_one_entry():
    images = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(0)), dim=-1)
    merged = prior.merge([(3, 4), (5,), (3, 4), (3,)], images)
    assert list(merged) == [(3, 4), (5,), (3,)]
    torch.testing.assert_close(merged[3, 4], F.normalize(images[0] + images[2], dim=0))
    torch.testing.assert_close(merged[5,], images[1])


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
    found = prior.class_images(features, logits)
    likeness = F.normalize(found, dim=-1) @ F.normalize(offset, dim=-1).T
    assert (likeness.argmax(1) == torch.arange(classes)).float().mean() > 0.9


def test_train_remembers_training_pictures_only(tmp_path):
    import timm

    rng = np.random.default_rng(0)
    index = {"texts": [f"thing {i}" for i in range(6)]}
    for table, channels in (("photos", 3), ("drawings", 4), ("scenes", 3)):
        colours = rng.integers(0, 256, (3, 1, 1, channels), np.uint8)
        np.save(tmp_path / f"{table}.npy", np.broadcast_to(colours, (3, SIDE, SIDE, channels)))
        index[table] = {
            "captions": [[0, 1, 2], [0, 1, 5], [3]], "split": ["train"] * 3,
            "source": ["flickr8k"] * 3, "key": ["a", "b", "c"],
        }  # fmt: skip
    index["photos"]["split"][2] = "test"
    index["scenes"]["captions"] = [[4], [4], [4, 2]]
    (tmp_path / "index.json").write_text(json.dumps(index))
    torch.manual_seed(0)
    torch.save(timm.create_model("tf_efficientnet_lite0").state_dict(), tmp_path / "lite0.pth")
    mini.save(mini.build(mini.read_config()), tmp_path / "clip.safetensors")
    out = tmp_path / "clip-prior.safetensors"
    figures = prior.train(
        prior.PriorOptions(
            arrays=tmp_path, weights=tmp_path / "clip.safetensors",
            classifier=tmp_path / "lite0.pth", out=out, rank=384,
        )
    )  # fmt: skip
    assert figures["entries"] == 4 + 1000  # (0, 1), (3,), (4,), (4, 2) and the classes
    kept = load_prior(out)
    model = prior.Model(mini.MINI_CONFIG, tmp_path / "clip.safetensors")
    drawing = prior.picture(np.load(tmp_path / "drawings.npy")[2])  # "thing 3", in training
    values = (kept.image_codes.float() @ kept.image_basis.float())[:4]
    assert (values @ model.images([drawing]).T).max() > 0.999
