"""An ``open_clip_config.json`` with values that nothing can be computed with."""

import json
import shutil

import pytest

from guidance.clip import load_clip
from guidance.clip.registry import load_network
from guidance.errors import ModelError

CONFIG = "open_clip_config.json"


@pytest.fixture
def changed(tiny_clip_path, tmp_path):
    """Return a function that makes a copy of the tiny model with other values in its config."""

    def change(*path, encoding="utf-8", **values):
        folder = shutil.copytree(tiny_clip_path, tmp_path / "model", dirs_exist_ok=True)
        config = json.loads((tiny_clip_path / CONFIG).read_text())
        place = config
        for name in path:
            place = place[name]
        place.update(values)
        (folder / CONFIG).write_text(json.dumps(config), encoding=encoding)
        return str(folder)

    return change


@pytest.mark.parametrize("name", ["mean", "std"])
@pytest.mark.parametrize(
    "value", ["x", [0.5] * 2, [0.5] * 4, [None] * 3, [float("nan")] * 3, [1e30] * 3, [], {}]
)
def test_statistics_of_colours_are_three_numbers(changed, name, value):
    with pytest.raises(ModelError, match=f"{name} must be three numbers"):
        load_network(changed("preprocess_cfg", **{name: value}))


def test_other_values_of_the_preprocessing(changed):
    assert load_network(changed("preprocess_cfg", mean=0.5)).preprocess.mean == (0.5,) * 3
    with pytest.raises(ModelError, match="std must be at least"):
        load_network(changed("preprocess_cfg", std=[0.5, 0, 0.5]))
    assert load_network(changed("preprocess_cfg", fill_color=[255] * 3)).preprocess.fill == 1
    for value in ("x", -1, 1e9, [None]):
        with pytest.raises(ModelError, match="fill_color must be in"):
            load_network(changed("preprocess_cfg", fill_color=value))


@pytest.mark.parametrize(
    ("path", "values", "message"),
    [
        (["text_cfg"], {"context_length": 1}, "context_length must be at least 2"),
        (["text_cfg"], {"tokenizer_kwargs": {"clean": "x"}}, "its clean 'x' is none of lower"),
        (["vision_cfg"], {"norm_kwargs": {"eps": "x"}}, "its norm_kwargs have 'x' for 'eps'"),
        ([], {"quick_gelu": "no"}, "its quick_gelu must be true or false but is 'no'"),
    ],
)
def test_values_that_fail_only_when_they_are_used(changed, path, values, message):
    with pytest.raises(ModelError, match=message) as caught:
        load_clip(changed("model_cfg", *path, **values))
    assert "\n" not in str(caught.value)


def test_a_large_network_of_timm_is_not_built(changed):
    """Its name alone would fill gigabytes."""
    folder = changed("model_cfg", "vision_cfg", timm_model_name="vit_giant_patch14_clip_224")
    with pytest.raises(ModelError, match=r"at least 1,01\d,\d+,\d+ parameters; the weights hold"):
        load_network(folder)


def test_a_config_may_begin_with_a_byte_order_mark(changed):
    load_network(changed(encoding="utf-8-sig"))
