"""Configurations beside a CLIP get no more than they need, in memory and from elsewhere."""

import shutil

import pytest
from hub_cache import CONFIG, change, write_tokenizer

from guidance.clip import load_clip
from guidance.errors import ModelError


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a CLIP that reads texts with a tokenizer in its folder."""
    path = shutil.copytree(tiny_clip_path, tmp_path / "model")
    change(path, text={"hf_tokenizer_name": "somebody/words"})
    return write_tokenizer(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ({"tokenizer_kwargs": {"bpe_path": "/etc/passwd"}}, "have 'bpe_path'; allowed are clean"),
        ({"tokenizer_kwargs": {"cache_dir": "x"}}, "have 'cache_dir'"),
        ({"tokenizer_kwargs": {"tokenizer_file": "/etc/passwd"}}, "have 'tokenizer_file'"),
        ({"tokenizer_kwargs": {"clean": 1}}, "have 'clean'"),
        ({"tokenizer_kwargs": {"additional_special_tokens": ["(a+)+$"]}}, "have 'additional_sp"),
        ({"hf_model_name": "../elsewhere"}, "hf_model_name '../elsewhere' is no name of a repos"),
        (
            {"hf_model_name": "somebody/code"},
            "somebody/code, whose config.json is not in the hub's",
        ),
        ({"hf_tokenizer_name": ["a"]}, "is no name"),
        ({"pool_type": "/etc/passwd"}, "must be a word"),
        ({"width": 10**9}, "width must be a word or a number of at most 65536"),
        ({"layers": 10**6}, "layers must be"),
        ({"layers": 500, "width": 4096}, "network of at least .* parameters"),
        ({"vocab_size": 2**21, "width": 1024}, "network of at least"),
        ({"context_length": 10**6}, "context_length must be"),
        ({"url": "http://a.b/c"}, "text_cfg has the unknown field 'url'"),
        ({"act_kwargs": {"inplace": True}}, "act_kwargs have 'inplace'"),
    ],
)
def test_a_configuration_gets_no_more_than_it_needs(folder, text, message, no_network):
    change(folder, text=text)
    with pytest.raises(ModelError, match=message) as caught:
        load_clip(str(folder))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("vision", "message"),
    [
        ({"timm_model_name": "hf-hub:somebody/code"}, "no network of timm"),
        ({"timm_model_name": "local-dir:/tmp"}, "no network of timm"),
        ({"timm_model_name": "../x"}, "no network of timm"),
        ({"image_size": 4096, "patch_size": 1}, "4096 x 4096 patches"),
        ({"layers": [9, 9, 9, 9], "width": 4096}, "network of at least"),
        ({"image_size": "large"}, "not a usable open_clip config"),
        ({"pretrained_cfg": {"url": "x"}}, "vision_cfg has the unknown field"),
    ],
)
def test_the_image_tower_too(folder, vision, message, no_network):
    change(folder, vision=vision)
    with pytest.raises(ModelError, match=message):
        load_clip(str(folder))


def test_a_network_of_timm_is_not_fetched(folder, no_network):
    change(folder, vision={"timm_model_name": "test_vit", "timm_model_pretrained": True,
                           "image_size": 160})  # fmt: skip
    with pytest.raises(ModelError, match="does not fit its config: it lacks"):
        load_clip(str(folder))


def test_unknown_fields_at_the_top(folder):
    change(folder, cast_dtype="x")
    with pytest.raises(ModelError, match="unknown field 'cast_dtype'"):
        load_clip(str(folder))


def test_a_configuration_that_is_too_large(folder):
    (folder / CONFIG).write_text("[" * 2_000_000)
    with pytest.raises(ModelError, match="too large"):
        load_clip(str(folder))
    (folder / CONFIG).write_text("[" * 100_000)
    with pytest.raises(ModelError, match="not a usable open_clip config"):
        load_clip(str(folder))
