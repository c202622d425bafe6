"""The dVAE: against the network written out, its likelihood by hand, and its files."""

import json
import math

import pytest
import torch
from dall_e_files import SIZES, write
from reference import slow_dvae

from guidance.errors import FileError, InputError, ModelError
from guidance.models.codec import load_codec
from guidance.models.codec_names import check_codec
from guidance.models.dvae import Dvae
from guidance.models.dvae_config import DvaeConfig, parse
from guidance.models.load_dvae import load_dvae, save_dvae
from guidance.models.logit_laplace import expected, log_likelihood, squeeze, unsqueeze

TINY = DvaeConfig(codes=20, width=8, groups=3, blocks=1, entry=6)


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "older"])
def test_openai_s_files_give_what_the_network_written_out_gives(tmp_path, generator, zipped):
    states = write(tmp_path, zipped=zipped)
    codec = load_codec(str(tmp_path), device="cpu")
    assert (codec.codes, codec.factor, codec.name) == (40, 8, str(tmp_path))
    images = torch.rand(2, 3, 16, 24, generator=generator)
    codes = codec.encode(images)
    assert codes.dtype == torch.int64
    assert torch.equal(codes, slow_dvae.codes(states["encoder.pkl"], images))
    assert len(codes.unique()) > 1
    made = codec.decode(codes)
    assert made.shape == images.shape
    torch.testing.assert_close(made, slow_dvae.pictures(states["decoder.pkl"], codes))
    assert 0 <= made.min() < made.max() <= 1


def test_the_published_sizes_are_the_defaults():
    config = DvaeConfig()
    with torch.device("meta"):
        network = Dvae(config)
    shapes = {name: tuple(value.shape) for name, value in network.state_dict().items()}
    assert config.factor == 8
    assert shapes["encoder.blocks.input.weight"] == (256, 3, 7, 7)
    assert shapes["encoder.blocks.group_4.block_1.id_path.weight"] == (2048, 1024, 1, 1)
    assert shapes["encoder.blocks.group_2.block_2.res_path.conv_1.weight"] == (128, 512, 3, 3)
    assert shapes["encoder.blocks.output.conv.weight"] == (8192, 2048, 1, 1)
    assert shapes["decoder.blocks.input.weight"] == (128, 8192, 1, 1)
    assert shapes["decoder.blocks.group_1.block_1.id_path.weight"] == (2048, 128, 1, 1)
    assert shapes["decoder.blocks.group_4.block_2.res_path.conv_4.weight"] == (256, 64, 3, 3)
    assert shapes["decoder.blocks.output.conv.weight"] == (6, 256, 1, 1)
    assert not [n for n in shapes if "group_4.pool" in n or "group_2.block_2.id_path" in n]


def test_a_look_up_is_the_convolution_of_one_hot_codes(generator):
    network = Dvae(TINY)
    codes = torch.randint(20, (2, 3, 2), generator=generator)
    one_hot = torch.nn.functional.one_hot(codes, 20).movedim(-1, 1).float()
    want = expected(network.told(one_hot))
    torch.testing.assert_close(network.decode(codes), want.detach())


def test_the_likelihood_by_hand(generator):
    images = torch.rand(2, 3, 3, 4, dtype=torch.float64, generator=generator)
    images[0, 0, 0, :2] = torch.tensor([0.0, 1.0])
    told = torch.randn(2, 6, 3, 4, dtype=torch.float64, generator=generator)
    got = log_likelihood(images, told).sum((1, 2, 3))
    want = [slow_dvae.log_density(i, t) for i, t in zip(images, told, strict=True)]
    torch.testing.assert_close(got, torch.tensor(want, dtype=torch.float64))
    # x = 0.5 at its own middle: 1 / (2 b x (1 - x)) with b = 1
    told = torch.zeros(1, 6, 1, 1, dtype=torch.float64)
    half = torch.full((1, 3, 1, 1), 0.5, dtype=torch.float64)
    assert log_likelihood(half, told).flatten().tolist() == pytest.approx([math.log(2)] * 3)


def test_the_density_sums_to_one_over_the_open_interval():
    x = torch.linspace(0, 1, 200_001, dtype=torch.float64)[1:-1]
    images = unclamped = (x - 0.1) / 0.8
    told = torch.tensor([0.7, -0.4, 0.0, -0.5, -1.0, 0.2], dtype=torch.float64)
    told = told.view(1, 6, 1, 1).expand(1, 6, 1, len(x))
    density = log_likelihood(images.expand(1, 3, 1, -1), told).exp()
    assert torch.trapezoid(density, x).flatten().tolist() == pytest.approx([1] * 3, abs=1e-3)
    assert unclamped.min() < 0


def test_the_likelihoods_gradient(generator):
    images = torch.rand(1, 3, 2, 2, dtype=torch.float64, generator=generator)
    told = torch.randn(1, 6, 2, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    assert torch.autograd.gradcheck(lambda t: log_likelihood(images, t), told)
    with pytest.raises(InputError, match=r"told must have shape \[1, 6, 2, 2\]"):
        log_likelihood(images, told[:, :3])


def test_pixels_come_back(generator):
    images = torch.rand(1, 3, 2, 2, generator=generator)
    torch.testing.assert_close(unsqueeze(squeeze(images)), images)
    assert squeeze(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([0.1, 0.9])
    assert unsqueeze(torch.tensor([0.0, 1.0])).tolist() == [0, 1]


def test_a_folder_of_ours_loads_again(tmp_path, generator):
    network = Dvae(TINY)
    save_dvae(TINY, network.state_dict(), tmp_path / "a")
    check_codec(str(tmp_path / "a"))
    codec = load_codec(str(tmp_path / "a"), device="cpu")
    images = torch.rand(1, 3, 8, 12, generator=generator)
    assert (codec.codes, codec.factor) == (20, 4)
    assert torch.equal(codec.encode(images), network.encode(images))
    assert not any(p.requires_grad for p in codec.parameters())
    with pytest.raises(InputError, match="multiples of 4 pixels but it has 10x8"):
        codec.encode(images[..., :10])
    with pytest.raises(InputError, match="from 0 to 19 but are from 20 to 20"):
        codec.decode(torch.tensor([[[20]]]))


def test_what_does_not_fit_is_named(tmp_path):
    network = Dvae(TINY)
    state = network.state_dict()
    del state["decoder.blocks.output.conv.bias"]
    save_dvae(TINY, state, tmp_path)
    said = r"dvae.safetensors does not fit .*lacks 1 entry \(decoder.blocks.output.conv.bias\)"
    with pytest.raises(ModelError, match=said):
        load_dvae(tmp_path)
    (tmp_path / "dvae.safetensors").unlink()
    with pytest.raises(FileError, match=r"dvae.safetensors does not exist"):
        load_dvae(tmp_path)
    with pytest.raises(InputError, match="config belongs to a taming-transformers checkpoint"):
        check_codec(str(tmp_path), "a.yaml")
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "DiscreteVAE", "code": 4}))
    with pytest.raises(InputError, match=r"unknown size 'code'; did you mean codes"):
        check_codec(str(tmp_path))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"codes": 0}, "codes in it must be a whole number from 1 to 1048576 but is 0"),
        ({"width": 6}, "width in it must be a multiple of 4 but is 6"),
        ({"_class_name": "VQModel"}, "must describe a DiscreteVAE but describes a VQModel"),
    ],
)
def test_a_bad_config_is_refused(content, said):
    with pytest.raises(InputError, match=said):
        parse(content, "it")


def test_halves_of_openai_s_files(tmp_path):
    write(tmp_path / "a")
    write(tmp_path / "b", codes=SIZES["codes"] + 1)
    (tmp_path / "a" / "decoder.pkl").unlink()
    said = (
        "holds encoder.pkl but not decoder.pkl, which is at https://cdn.openai.com/dall-e/decoder"
    )
    with pytest.raises(ModelError, match=said):
        load_dvae(tmp_path / "a")
    (tmp_path / "b" / "decoder.pkl").rename(tmp_path / "a" / "decoder.pkl")
    with pytest.raises(ModelError, match=r"encoder.pkl has 40 codes, decoder.pkl 41"):
        load_dvae(tmp_path / "a")
    (tmp_path / "a" / "encoder.pkl").rename(tmp_path / "a" / "decoder.pkl")
    (tmp_path / "a" / "encoder.pkl").write_bytes((tmp_path / "a" / "decoder.pkl").read_bytes())
    with pytest.raises(ModelError, match=r"decoder.pkl"):
        load_dvae(tmp_path / "a")
