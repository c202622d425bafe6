"""Pictures → latents and embeddings."""

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

from guidance.data.shards import Sample, ShardWriter, encode
from guidance.models.load_latents import load_latents
from guidance.train.latents.encode import LatentsOptions, coarse, prepare, view


@pytest.fixture
def shard(tmp_path):
    """Two pictures: red on the left and blue on the right, and a transparent one."""
    halves = Image.new("RGB", (40, 40), "red")
    halves.paste("blue", (20, 0, 40, 40))
    clear = Image.new("RGBA", (40, 40), (0, 0, 0, 0))
    with ShardWriter(tmp_path, "pictures") as writer:
        writer.add(Sample("a", ("red and blue", "two halves"), "made", "MIT"), *encode(halves))
        writer.add(Sample("b", ("nothing",), "other", "MIT"), *encode(clear))
    return tmp_path / "pictures-000.tar"


def test_preparation(shard, tmp_path, tiny_clip_path):
    given = LatentsOptions(
        data=(str(shard),), out=tmp_path / "out.safetensors", clip=str(tiny_clip_path), side=32,
        low=True, weights={"other": 0.5}, threads=1, device="cpu",
    )  # fmt: skip
    prepare(given)
    content = load_file(given.out)
    assert content["rows"].tolist() == [0, 0, 1, 1]
    assert content["weights"].tolist() == [1.0, 0.5]
    assert content["captions"].tolist() == [[0, 1, 0, 1, 0], [2] * 5]
    latents = load_latents("mini", device="cpu")
    with torch.no_grad():
        pictures = latents.decode(content["latents"].float())
    red, blue = pictures[:2, 0] - pictures[:2, 2], pictures[:2, 2] - pictures[:2, 0]
    assert red[0, :, :8].mean() > 0.5 < blue[0, :, -8:].mean()
    assert blue[1, :, :8].mean() > 0.5 < red[1, :, -8:].mean(), "the second view is mirrored"
    assert pictures[2].mean() > 0.95, "what is transparent lies on white"
    assert content["low"].shape == content["latents"].shape
    norms = content["images"].float().norm(dim=1)
    torch.testing.assert_close(norms, torch.ones(4), atol=2e-3, rtol=0)


def test_coarse_latents_lose_what_is_small():
    latents = load_latents("mini", device="cpu")
    images = torch.full((1, 3, 32, 32), 0.5)
    images[..., ::2] += 0.3  # stripes of one pixel
    with torch.no_grad():
        small = latents.decode(coarse(images, latents))
    assert (small[..., ::2] - small[..., 1::2]).mean().abs() < 0.05


def test_a_damaged_picture_is_left_out_and_told_once(shard):
    from guidance.data import read

    samples = read([str(shard)])
    shard.write_bytes(shard.read_bytes()[:700])
    given = LatentsOptions(data=(str(shard),), out=shard, side=32)
    with pytest.warns(UserWarning, match="the picture .* it is left out"):
        assert view(samples, 0, False, given) is None
    assert view(samples, 0, True, given) is None
