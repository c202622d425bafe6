"""VQGANs as codecs: picture → codes → picture, of tiny real networks."""

from __future__ import annotations

import pytest
import torch
from reference.slow_quantise import slow_quantise
from reference.taming_decoder import decode, encode, likeliest_codes
from taming_files import F8, NARROW, narrow, saved
from tiny_vqgan import build

from guidance.errors import InputError, ModelError
from guidance.models.codec import VqganCodec, load_codec
from guidance.models.latents import wrap


def codec(kind: str = "vq") -> VqganCodec:
    return VqganCodec(wrap(build(kind), f"tiny {kind}").place("cpu"))


def test_codes_are_the_nearest(generator):
    made = codec()
    images = torch.rand(2, 3, 16, 24, generator=generator)
    codes = made.encode(images)
    assert (codes.shape, codes.dtype) == ((2, 4, 6), torch.int64)
    assert codes.max() < made.codes == len(made.vectors)
    z = made.latents.encode(images)
    wanted = slow_quantise(z, made.vectors)
    assert torch.equal(made.vectors[codes].movedim(-1, 1), wanted)


def test_decodes_as_the_vqgan_does(generator):
    made = codec()
    z = made.latents.encode(torch.rand(2, 3, 16, 24, generator=generator))
    rows = z.movedim(1, -1).reshape(-1, z.shape[1])
    codes = torch.cdist(rows.double(), made.vectors.double()).argmin(1).view(2, 4, 6)
    images = made.decode(codes)
    assert images.shape == (2, 3, 16, 24)
    assert torch.allclose(images, made.latents.decode(z), atol=1e-5)


def test_mini_has_8192_codes_of_8_pixels():
    made = load_codec("mini", device="cpu")
    assert (made.name, made.codes, made.factor) == ("mini", 8192, 8)


def test_refusals():
    with pytest.raises(ModelError, match="tiny kl has no codebook: an autoencoder of continuous"):
        codec("kl")
    made = codec()
    with pytest.raises(InputError, match=r"codes must have shape \[N, h, w\]"):
        made.decode(torch.zeros(1, 4, dtype=torch.int64))
    with pytest.raises(InputError, match=r"codes must be int64 but are torch.float32"):
        made.decode(torch.zeros(1, 4, 4))
    last = made.codes - 1
    with pytest.raises(InputError, match=f"codes must be from 0 to {last} but are from -1 to 0"):
        made.decode(torch.tensor([[[0, -1]]]))
    with pytest.raises(InputError, match="minu"):
        load_codec("minu", device="cpu")


def test_a_gumbel_vqgan_of_taming_transformers(tmp_path, generator):
    state = narrow(**F8)
    path = saved(tmp_path / "vqgan_gumbel_f8.ckpt", state)
    made = load_codec(str(path), device="cpu")
    assert (made.codes, made.factor) == (NARROW["n_embed"], 8)
    images = torch.rand(2, 3, 16, 24, generator=generator)
    codes = made.encode(images)
    wanted = likeliest_codes(state, encode(state, images * 2 - 1))
    assert torch.equal(state["quantize.embed.weight"][codes].movedim(-1, 1), wanted)
    pixels = decode(state, wanted)
    assert torch.allclose(made.decode(codes), ((pixels + 1) / 2).clamp(0, 1), atol=1e-4)
