"""taming-transformers checkpoints: the published names and shapes, against the network written out.

``F16_1024`` is the whole of ``vqgan_imagenet_f16_1024.ckpt`` but for its ``loss.`` entries. A name
stands for its ``.weight`` of the given shape and, except for the codebook, its ``.bias`` of the
first size; ``{a,b}`` stands for both.
"""

import itertools
import re

import pytest
import torch
import yaml
from checkpoint_files import assert_same_weights, assert_told, write_form
from reference.taming_decoder import (
    decode,
    encode,
    entries,
    likeliest_codes,
    nearest_codes,
)
from taming_files import F8, F16, NARROW, config_file, narrow, saved

from guidance.errors import ModelError
from guidance.models.taming import GumbelVQModel, build, load_taming, select, taming_names
from guidance.models.taming_architecture import infer, read_config

F16_1024 = """
encoder.conv_in                                   128x3x3x3
encoder.down.{0,1}.block.{0,1}.norm{1,2}          128
encoder.down.{0,1}.block.{0,1}.conv{1,2}          128x128x3x3
encoder.down.{0,1}.downsample.conv                128x128x3x3
encoder.down.2.block.0.norm1                      128
encoder.down.2.block.0.conv1                      256x128x3x3
encoder.down.2.block.0.nin_shortcut               256x128x1x1
encoder.down.2.block.0.norm2                      256
encoder.down.2.block.0.conv2                      256x256x3x3
encoder.down.2.block.1.norm{1,2}                  256
encoder.down.2.block.1.conv{1,2}                  256x256x3x3
encoder.down.3.block.{0,1}.norm{1,2}              256
encoder.down.3.block.{0,1}.conv{1,2}              256x256x3x3
encoder.down.{2,3}.downsample.conv                256x256x3x3
encoder.down.4.block.0.norm1                      256
encoder.down.4.block.0.conv1                      512x256x3x3
encoder.down.4.block.0.nin_shortcut               512x256x1x1
encoder.down.4.block.0.norm2                      512
encoder.down.4.block.0.conv2                      512x512x3x3
encoder.down.4.block.1.norm{1,2}                  512
encoder.down.4.block.1.conv{1,2}                  512x512x3x3
encoder.down.4.attn.{0,1}.norm                    512
encoder.down.4.attn.{0,1}.{q,k,v,proj_out}        512x512x1x1
{encoder,decoder}.mid.block_{1,2}.norm{1,2}       512
{encoder,decoder}.mid.block_{1,2}.conv{1,2}       512x512x3x3
{encoder,decoder}.mid.attn_1.norm                 512
{encoder,decoder}.mid.attn_1.{q,k,v,proj_out}     512x512x1x1
encoder.norm_out                                  512
encoder.conv_out                                  256x512x3x3
quant_conv                                        256x256x1x1
quantize.embedding                                1024x256
post_quant_conv                                   256x256x1x1
decoder.conv_in                                   512x256x3x3
decoder.up.4.block.{0,1,2}.norm{1,2}              512
decoder.up.4.block.{0,1,2}.conv{1,2}              512x512x3x3
decoder.up.4.attn.{0,1,2}.norm                    512
decoder.up.4.attn.{0,1,2}.{q,k,v,proj_out}        512x512x1x1
decoder.up.4.upsample.conv                        512x512x3x3
decoder.up.3.block.0.norm1                        512
decoder.up.3.block.0.conv1                        256x512x3x3
decoder.up.3.block.0.nin_shortcut                 256x512x1x1
decoder.up.3.block.0.norm2                        256
decoder.up.3.block.0.conv2                        256x256x3x3
decoder.up.3.block.{1,2}.norm{1,2}                256
decoder.up.3.block.{1,2}.conv{1,2}                256x256x3x3
decoder.up.2.block.{0,1,2}.norm{1,2}              256
decoder.up.2.block.{0,1,2}.conv{1,2}              256x256x3x3
decoder.up.{2,3}.upsample.conv                    256x256x3x3
decoder.up.1.block.0.norm1                        256
decoder.up.1.block.0.conv1                        128x256x3x3
decoder.up.1.block.0.nin_shortcut                 128x256x1x1
decoder.up.1.block.0.norm2                        128
decoder.up.1.block.0.conv2                        128x128x3x3
decoder.up.1.block.{1,2}.norm{1,2}                128
decoder.up.1.block.{1,2}.conv{1,2}                128x128x3x3
decoder.up.1.upsample.conv                        128x128x3x3
decoder.up.0.block.{0,1,2}.norm{1,2}              128
decoder.up.0.block.{0,1,2}.conv{1,2}              128x128x3x3
decoder.norm_out                                  128
decoder.conv_out                                  3x128x3x3
"""
OTHERS = {  # the narrow f16 network, and what else the published families vary
    "f16": F16,
    "two levels with attention": {"ch_mult": (1, 2, 4), "attended": (1, 2)},
    "embed_dim unlike z_channels, one block": {
        "ch_mult": (1, 2), "attended": (), "num_res_blocks": 1, "embed_dim": 4,
    },
    "no attention at all": {"ch_mult": (1, 2), "attended": (), "mid_attention": False},
}  # fmt: skip


def table(text: str) -> dict[str, tuple[int, ...]]:
    """Return names and shapes of a table such as ``F16_1024``."""
    found = {}
    for pattern, sizes in (line.split() for line in text.strip().splitlines()):
        shape = tuple(map(int, sizes.split("x")))
        parts = re.split(r"\{(.*?)\}", pattern)
        choices = [p.split(",") if i % 2 else [p] for i, p in enumerate(parts)]
        for name in map("".join, itertools.product(*choices)):
            found[f"{name}.weight"] = shape
            if name != "quantize.embedding":
                found[f"{name}.bias"] = shape[:1]
    return found


def images(size: int) -> torch.Tensor:
    return torch.rand(2, 3, size, size, generator=torch.Generator().manual_seed(7)) * 2 - 1


def test_the_table_of_the_published_checkpoint_is_what_the_other_tests_build():
    built = entries(ch=128, n_embed=1024, z_channels=256, embed_dim=256, **F16)
    assert built == table(F16_1024)


def test_every_published_entry_finds_its_place_at_full_size():
    state = {k: torch.empty(s, device="meta") for k, s in table(F16_1024).items()}
    architecture = infer(state)
    with torch.device("meta"):
        network = build(architecture, "f16")
    names, weights = taming_names(network, architecture), network.state_dict()
    assert sorted(names.values()) == sorted(state)
    for ours, theirs in names.items():
        shape = tuple(weights[ours].shape)
        assert tuple(state[theirs].shape) in (shape, (*shape, 1, 1)), theirs
    assert names["decoder.up_blocks.0.attentions.2.to_out.0.weight"] == (
        "decoder.up.4.attn.2.proj_out.weight"
    )
    assert names["encoder.down_blocks.4.resnets.0.conv_shortcut.bias"] == (
        "encoder.down.4.block.0.nin_shortcut.bias"
    )


@pytest.mark.parametrize("options", OTHERS.values(), ids=OTHERS)
@torch.no_grad()
def test_encoder_and_decoder_equal_the_network_written_out(tmp_path, options):
    state = narrow(**options)
    network = load_taming(saved(tmp_path / "last.ckpt", state))
    pixels = images(64)
    z = encode(state, pixels)
    torch.testing.assert_close(network.encode(pixels).latents, z, atol=1e-4, rtol=0)
    codes = nearest_codes(state, z)
    picture = decode(state, codes)
    assert picture.shape == pixels.shape
    assert picture.std() > 0.1
    out = network.decode(codes, force_not_quantize=True).sample
    torch.testing.assert_close(out, picture, atol=1e-4, rtol=0)
    out = network.decode(z).sample  # with diffusers' own quantiser
    torch.testing.assert_close(out, picture, atol=1e-4, rtol=0)


@torch.no_grad()
def test_the_gumbel_variant_equals_the_network_written_out(tmp_path):
    state = narrow(**F8)
    network = load_taming(saved(tmp_path / "last.ckpt", state))
    assert isinstance(network, GumbelVQModel)
    pixels = images(32)
    codes = likeliest_codes(state, encode(state, pixels))
    assert len(codes.permute(0, 2, 3, 1).reshape(-1, 12).unique(dim=0)) > 3
    torch.testing.assert_close(network.encode(pixels).latents, codes, atol=1e-6, rtol=0)
    torch.testing.assert_close(network.encode(pixels, return_dict=False)[0], codes)
    out = network.decode(codes, force_not_quantize=True).sample
    torch.testing.assert_close(out, decode(state, codes), atol=1e-4, rtol=0)


@torch.no_grad()
def test_a_transformer_gives_its_first_stage(tmp_path):
    state = narrow(ch_mult=(1, 2), attended=(1,))
    other = narrow(ch_mult=(1,), attended=())
    whole = {f"cond_stage_model.{k}": v for k, v in other.items()}
    whole |= {f"first_stage_model.{k}": v for k, v in state.items()}
    whole |= {"first_stage_model.loss.logvar": torch.zeros(()), "transformer.pos_emb": images(4)}
    network = load_taming(saved(tmp_path / "sflckr.ckpt", whole))
    codes = nearest_codes(state, torch.randn(1, 12, 2, 2))
    out = network.decode(codes, force_not_quantize=True).sample
    torch.testing.assert_close(out, decode(state, codes), atol=1e-4, rtol=0)


@pytest.mark.parametrize("form", ["plain", "half", "safetensors", "legacy"])
def test_other_files_give_the_same_network(tmp_path, form):
    state = narrow(ch_mult=(1, 2), attended=(1,))
    expected = load_taming(saved(tmp_path / "last.ckpt", state)).state_dict()
    path = write_form(tmp_path, form, state)
    network = load_taming(path)
    path.unlink()  # nothing may still be mapped from it
    assert_same_weights(network, expected, form)


def test_the_published_config_and_the_shapes_agree(tmp_path):
    state = {k: torch.empty(s, device="meta") for k, s in table(F16_1024).items()}
    path = config_file(tmp_path / "a.yaml")
    assert read_config(path) == infer(state)
    content = yaml.safe_load(path.read_text())
    parent = {"model": {"params": {"first_stage_config": content["model"]}}}
    path.write_text(yaml.safe_dump(parent))
    assert read_config(path) == infer(state)
    content["model"]["target"] = "taming.models.vqgan.GumbelVQ"
    path.write_text(yaml.safe_dump(content))
    assert read_config(path).gumbel
    path = config_file(path, attn_resolutions=[64, 32], resolution=256)
    assert read_config(path).attention == (False, False, True, True, False)
    path = config_file(path, attn_type="none")
    assert not any((*read_config(path).attention, read_config(path).mid_attention))


def test_a_config_that_fits_is_accepted_and_one_that_does_not_is_named(tmp_path):
    path = saved(tmp_path / "a.ckpt", narrow(**F16))
    assert load_taming(path, config_file(tmp_path / "a.yaml", **NARROW))
    wrong = config_file(tmp_path / "b.yaml", **(NARROW | {"n_embed": 48}))
    with pytest.raises(ModelError, match=r"does not fit .*b\.yaml \(n_embed is 48 but the weights"):
        load_taming(path, wrong)
    wrong = config_file(tmp_path / "b.yaml", **NARROW, attn_resolutions=[32])
    with pytest.raises(ModelError, match=r"attention is .* it lacks 50 entries .*down\.3\.attn"):
        load_taming(path, wrong)
    gumbel = config_file(tmp_path / "b.yaml", **NARROW)
    gumbel.write_text(gumbel.read_text().replace("VQModel", "GumbelVQ"))
    with pytest.raises(ModelError, match=r"gumbel is True .* it lacks 3 .*quantize\.embed\.weight"):
        load_taming(path, gumbel)


def test_missing_unexpected_and_misshapen_entries_are_named(tmp_path):
    state = narrow(**F16)
    del state["decoder.up.3.block.1.conv1.weight"], state["encoder.conv_out.bias"]
    state["decoder.extra.weight"] = torch.zeros(1)
    state["decoder.conv_out.weight"] = torch.zeros(4, 32, 3, 3)
    state["encoder.conv_in.bias"] = torch.zeros(())
    with pytest.raises(ModelError) as caught:
        load_taming(saved(tmp_path / "a.ckpt", state))
    parts = (
        "a.ckpt does not fit its architecture: it lacks 2 entries (",
        "decoder.up.3.block.1.conv1.weight",
        "encoder.conv_out.bias",
        "it has 1 unexpected entry (decoder.extra.weight)",
        "it has 2 misshapen entries (encoder.conv_in.bias: a single number, not 32, ",
        "decoder.conv_out.weight: 4x32x3x3, not 3x32x3x3",
    )
    assert_told(str(caught.value), parts)


@pytest.mark.parametrize("lost", ["encoder.", "decoder.", "quantize.", "quant_conv."])
def test_a_checkpoint_without_a_part_says_how_much_is_missing(tmp_path, lost):
    state = narrow(**F16)
    kept = {k: v for k, v in state.items() if not k.startswith(lost)}
    missing = len(state) - len(kept)
    noun = "entry" if missing == 1 else "entries"
    with pytest.raises(ModelError, match=rf"it lacks {missing} {noun} \({lost}[^;]*\)$"):
        load_taming(saved(tmp_path / "a.ckpt", kept))


def test_what_is_no_vqgan_of_taming_is_named(tmp_path):
    state = narrow(**F16)

    def refused(state: dict, message: str) -> None:
        with pytest.raises(ModelError, match=message):
            load_taming(saved(tmp_path / "a.ckpt", state))

    refused({"layer.weight": images(2)}, r"holds no VQGAN .* but it has 3 others \(layer\.weight")
    refused({"decoder.conv_in.weight": images(2)}, "no VQGAN of .* lacks entries such as decoder")
    refused({"decoder.up_blocks.0.x": images(2)}, "names of a diffusers model.* give the folder")
    refused({k: v for k, v in state.items() if ".2." not in k.replace("block.2", "")}, "level 2")
    huge = {"decoder.up.99999999999.block.0.conv1.weight": images(2)}
    refused(state | huge, "lacks level 5")
    odd = narrow(**F16 | {"ch_mult": (1, 1)}, ch=24)
    refused(odd, "channels of each level .* must be multiples of 32 but one has 24")
    kl = {k: v for k, v in state.items() if not k.startswith("quantize.")}
    kl["encoder.conv_out.weight"] = torch.zeros(24, 128, 3, 3)
    refused(kl, "is a continuous autoencoder")


def test_select_prefers_the_picture_s_own_network():
    state = {"first_stage_model.quantize.x": images(1), "cond_stage_model.quantize.x": images(1)}
    assert list(select(state, "a")) == ["quantize.x"]
    assert list(select({"module.quantize.x": images(1)}, "a")) == ["quantize.x"]
