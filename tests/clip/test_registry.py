"""Every form of a CLIP name, and what happens when weights are damaged or out of reach."""

import json
import logging
import shutil
import time

import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_clip import TINY

from guidance.clip import ClipSpec, load_clip, parse_specs
from guidance.errors import InputError, ModelError
from guidance.pretrained.hub import local

WEIGHTS = "open_clip_model.safetensors"


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_clip_path, tmp_path / "model")


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("mini", ClipSpec("mini")),
        ("mini:0.5", ClipSpec("mini", 0.5)),
        ("ViT-B-32/openai", ClipSpec("ViT-B-32/openai", arch="ViT-B-32", tag="openai")),
        (
            "ViT-B-32/laion2b_s34b_b79k:2",
            ClipSpec("ViT-B-32/laion2b_s34b_b79k", 2.0, arch="ViT-B-32", tag="laion2b_s34b_b79k"),
        ),
        ("ViT-B/32", ClipSpec("ViT-B/32", arch="ViT-B-32", tag="openai")),
        ("ViT-B/16:3", ClipSpec("ViT-B/16", 3.0, arch="ViT-B-16", tag="openai")),
        ("ViT-L/14", ClipSpec("ViT-L/14", arch="ViT-L-14", tag="openai")),
        ("ViT-L/14@336px", ClipSpec("ViT-L/14@336px", arch="ViT-L-14-336", tag="openai")),
        ("RN50", ClipSpec("RN50", arch="RN50", tag="openai")),
        ("RN50x16", ClipSpec("RN50x16", arch="RN50x16", tag="openai")),
        ("hf-hub:owner/name", ClipSpec("hf-hub:owner/name", arch="hf-hub:owner/name")),
        ("hf-hub:owner/name:2", ClipSpec("hf-hub:owner/name", 2.0, arch="hf-hub:owner/name")),
    ],
)
def test_names(text, want):
    assert parse_specs(text) == (want,)


@pytest.mark.parametrize(
    ("arch", "want"),
    [
        ("ViT-B-32", ("ViT-B-32", None)),
        ("ViT-B-32/openai", ("ViT-B-32", "openai")),
        ("ViT-B-32/metaclip_400m", ("ViT-B-32", "metaclip_400m")),
        ("ViT-B/32", ("ViT-B-32", "openai")),
        ("ViT-L/14@336px", ("ViT-L-14-336", "openai")),
        ("RN50", ("RN50", None)),
        ("RN50/yfcc15m", ("RN50", "yfcc15m")),
    ],
)
def test_names_before_a_file(tmp_path, arch, want):
    file = tmp_path / "w=1.pt"  # a path may have the sign too
    file.touch()
    spec = ClipSpec(f"{arch}={file}", 0.5, arch=want[0], tag=want[1], path=file)
    assert parse_specs(f"{arch}={file}:0.5") == (spec,)


def test_a_path_with_an_equals_sign(tiny_clip_path, tmp_path):
    folder = shutil.copytree(tiny_clip_path, tmp_path / "lr=0.1")
    assert parse_specs(str(folder))[0].path == folder


def test_every_openai_name_exists():
    for name in ("ViT-B/32", "ViT-B/16", "ViT-L/14", "ViT-L/14@336px", "RN50", "RN101"):
        assert parse_specs(name)[0].tag == "openai"


def test_ensemble_names():
    first, second = parse_specs("mini, ViT-B-32/openai:0.5")
    assert (first.name, first.weight) == ("mini", 1)
    assert (second.name, second.weight) == ("ViT-B-32/openai", 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must not be empty"),
        ("mini,", "must not be empty"),
        ("mini:0", "weight of CLIP model 'mini' must be positive but is 0"),
        ("mini:-1", "must be positive"),
        ("mini:nan", "must be positive"),
        ("mini:inf", "must be positive"),
        ("mini,mini", "named once"),
        ("mini:2,mini:3", "named once"),
        ("minni", "did you mean mini"),
        ("ViT-B-32", r"needs its weights' tag: .*ViT-B-32/openai"),
        ("ViT-B-32/laion2b_s34b", "did you mean ViT-B-32/laion2b"),
        ("vit-b-32/openai", "did you mean ViT-B-32/openai"),
        ("ViT-Q-99/nowhere", r"unknown CLIP model .*\d+ names"),
        ("missing/weights.pt", "checkpoint 'missing/weights.pt' does not exist"),
        ("ViT-B-32=missing.pt", "checkpoint 'missing.pt' does not exist"),
        ("ViT-B-32/opnai=missing.pt", "unknown tag of ViT-B-32 'opnai'; did you mean openai"),
        ("ViT-B-33/openai=missing.pt", "unknown CLIP architecture 'ViT-B-33'; did you mean ViT-B"),
        ("hf-hub:", "named hf-hub:OWNER/NAME but got 'hf-hub:'"),
        ("hf-hub:../..", "named hf-hub:OWNER/NAME"),
        ("ViT-B-33=missing.pt", "unknown CLIP architecture 'ViT-B-33'; did you mean ViT-B-32"),
    ],
)
def test_refused_names(text, message):
    with pytest.raises(InputError, match=message):
        parse_specs(text)


def test_a_folder_and_a_file_in_it_load_alike(folder, tiny_clip):
    image = torch.rand(1, 3, 32, 32)
    for name in (folder, folder / WEIGHTS):
        model = load_clip(str(name))
        assert model.name == str(name)
        assert torch.equal(model.encode_image(image), tiny_clip.encode_image(image))


def test_preprocessing_comes_with_the_weights(folder):
    config = json.loads((folder / "open_clip_config.json").read_text())
    config["preprocess_cfg"] |= {"mean": [0.1, 0.2, 0.3], "resize_mode": "squash"}
    (folder / "open_clip_config.json").write_text(json.dumps(config))
    preprocess = load_clip(str(folder)).preprocess
    assert preprocess.mean == (0.1, 0.2, 0.3)
    assert preprocess.resize_mode == "squash"
    assert preprocess.size == 32


def test_coca_in_a_folder(tmp_path):
    import open_clip

    config = json.loads(json.dumps(TINY))
    cfg = config["model_cfg"]
    cfg["vision_cfg"] |= {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
    cfg["text_cfg"] |= {"embed_cls": True, "output_tokens": True}
    cfg["multimodal_cfg"] = {"width": 32, "heads": 2, "layers": 1, "context_length": 16}
    network = open_clip.CoCa(**cfg)
    (tmp_path / "open_clip_config.json").write_text(json.dumps(config))
    save_file({k: v.contiguous() for k, v in network.state_dict().items()}, tmp_path / WEIGHTS)
    assert load_clip(str(tmp_path)).encode_image(torch.rand(2, 3, 32, 32)).shape == (2, 32)


def test_a_folder_or_file_without_config(folder):
    (folder / "open_clip_config.json").unlink()
    for name in (folder, folder / WEIGHTS):
        with pytest.raises(InputError, match=r"no open_clip_config.json (in|beside) it.*ViT-B-32="):
            load_clip(str(name))


def test_a_folder_without_weights(folder):
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"holds no weights; expected one of open_clip_model"):
        load_clip(str(folder))


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_cfg": {"embed_dim": 8}}', "\x00"])
def test_a_damaged_config(folder, text):
    (folder / "open_clip_config.json").write_text(text)
    with pytest.raises(ModelError, match="not a usable open_clip config") as caught:
        load_clip(str(folder))
    assert "\n" not in str(caught.value)


def test_damaged_weights(folder):
    path = folder / WEIGHTS
    whole = path.read_bytes()
    for damaged in (whole[: len(whole) // 2], whole[:5], b"", b"\xff" * 1000):
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match="not a readable checkpoint"):
            load_clip(str(folder))


def test_weights_that_do_not_fit(folder):
    state = load_file(folder / WEIGHTS)
    first = next(iter(state))
    changes = {
        "lacks 1 entry": {k: v for k, v in state.items() if k != first},
        "has unexpected 1 entry, first 'extra'": {**state, "extra": torch.zeros(1)},
        f"has other shapes 1 entry, first {first!r}": {**state, first: torch.zeros(7)},
    }
    for message, changed in changes.items():
        save_file(changed, folder / WEIGHTS)
        with pytest.raises(ModelError, match=message):
            load_clip(str(folder))


def test_what_others_say_while_a_model_loads_is_heard(caplog):
    """The client of the hub is silenced, open_clip and transformers are not."""
    with local():
        for name in ("huggingface_hub.utils", "httpx", "open_clip", "transformers", None):
            logging.getLogger(name).warning("said by %s", name)
    assert [r.args[0] for r in caplog.records] == ["open_clip", "transformers", None]
    logging.getLogger("httpx").warning("heard again")
    assert "heard again" in caplog.text


def test_out_of_reach_names_the_way_out_and_is_fast():
    import open_clip  # noqa: F401, its import is not what is timed

    start = time.perf_counter()
    with pytest.raises(ModelError, match=r"not in the cache .*use --clip mini") as caught:
        load_clip("RN50/yfcc15m")
    assert time.perf_counter() - start < 20  # seconds; about 1 on a quiet core
    assert "\n" not in str(caught.value)


def test_precision_is_checked_before_loading():
    with pytest.raises(InputError, match="precision"):
        load_clip("RN50/yfcc15m", precision="fp8")
    with pytest.raises(InputError, match="fp16 needs a GPU"):
        load_clip("RN50/yfcc15m", precision="fp16")
