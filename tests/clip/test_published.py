"""Every published CLIP is computed as its tag says: activation, preprocessing, tokenizer, context.

The architectures are open_clip's, made small; the towers of timm and transformers are tiny ones.
"""

import copy
import json
import logging
from pathlib import Path

import open_clip
import pytest
import torch
from hub_cache import TOWER, cached, use_cache, write_tokenizer
from open_clip import factory
from safetensors.torch import save_file

from guidance.clip.build import build_network
from guidance.clip.names import parse_specs
from guidance.clip.published import of_file, published, recognise, tags
from guidance.clip.registry import load_network
from guidance.errors import InputError

OPENAI = {
    "RN50": "RN50", "RN101": "RN101", "RN50x4": "RN50x4", "RN50x16": "RN50x16",
    "RN50x64": "RN50x64", "ViT-B/32": "ViT-B-32", "ViT-B/16": "ViT-B-16", "ViT-L/14": "ViT-L-14",
    "ViT-L/14@336px": "ViT-L-14-336",
}  # fmt: skip
MARKS = {k: torch.tensor(1) for k in ("input_resolution", "context_length", "vocab_size")}


def small(config):
    """Return the `model_cfg` of a tiny CLIP with the switches of a large one."""
    config = copy.deepcopy(config)
    vision, text = config["vision_cfg"], config["text_cfg"]
    config["embed_dim"] = 16
    vision["layers"] = [1] * 4 if isinstance(vision.get("layers"), list) else 1
    vision |= {"width": 32, "head_width": 16, "mlp_ratio": 2}
    text |= {"width": 32, "heads": 2, "layers": 1, "vocab_size": 64}
    if "timm_model_name" in vision:
        vision["timm_model_name"] = "test_vit"
    if "multimodal_cfg" in config:
        config["multimodal_cfg"] |= {"width": 16, "heads": 2, "layers": 1, "vocab_size": 64}
    return config


@pytest.fixture(scope="module")
def small_world(tmp_path_factory):
    """Make open_clip's architectures small, and what it would download files of random weights."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        cache = use_cache(patch, folder / "hub")
        configs = {name: small(config) for name, config in factory._MODEL_CONFIGS.items()}
        patch.setattr(factory, "_MODEL_CONFIGS", configs)
        for config in configs.values():
            text = config["text_cfg"]
            if name := text.get("hf_tokenizer_name"):
                write_tokenizer(cached(cache, name))
            if name := text.get("hf_model_name"):
                (cached(cache, name) / "config.json").write_text(json.dumps(TOWER))
                text["hf_pooler_type"] = "mean_pooler"
        yield folder, patch


def activations(module):
    return {type(m).__name__ for m in module.modules() if "GELU" in type(m).__name__}


def own_towers(network):
    """Return the parts that open_clip itself builds; timm and transformers have their own."""
    text = getattr(
        network, "text", network.transformer if hasattr(network, "transformer") else None
    )
    found = [] if hasattr(network.visual, "trunk") else [network.visual]
    found += [] if hasattr(text, "config") else [text]
    return found + ([network.text_decoder] if hasattr(network, "text_decoder") else [])


@pytest.mark.parametrize("arch", sorted({a for a, _ in open_clip.list_pretrained()}))
def test_every_tag(small_world, arch):
    folder, patch = small_world
    config = factory._MODEL_CONFIGS[arch]
    text = config["text_cfg"]
    built = dict(config, text_cfg=dict(text))
    if name := text.get("hf_model_name"):
        built["text_cfg"]["hf_model_name"] = str(cached(folder / "hub", name))
    torch.manual_seed(0)
    # CoCa leaves a part without values
    state = {k: v.nan_to_num() for k, v in build_network(built).state_dict().items()}
    weights = folder / f"{arch}.safetensors"
    save_file({k: v.contiguous().clone() for k, v in state.items()}, weights)
    for tag in tags(arch):
        want = open_clip.get_pretrained_cfg(arch, tag)
        given = []

        def download(source, *, given=given, **_):
            given.append(source)
            return str(weights)

        patch.setattr(factory, "download_pretrained", download)
        network, tokenizer, preprocess = load_network(f"{arch}/{tag}")
        assert given == [want]
        quick = bool(want.get("quick_gelu") or config.get("quick_gelu"))
        for tower in own_towers(network):
            expected = {"QuickGELU" if quick else "GELU"}
            assert activations(tower) in (expected, set()), (arch, tag)  # a ResNet has ReLUs
        assert {
            k: getattr(preprocess, k) for k in ("mean", "std", "interpolation", "resize_mode")
        } == {k: want[k] for k in ("mean", "std", "interpolation", "resize_mode")}
        size = config["vision_cfg"].get("image_size", 224)
        assert preprocess.size == size
        own = bool(text.get("hf_tokenizer_name"))
        assert type(tokenizer).__name__ == ("HFTokenizer" if own else "SimpleTokenizer")
        assert tokenizer.context_length == text.get("context_length", 77)
        options = text.get("tokenizer_kwargs", {})
        cleaned = open_clip.tokenizer.get_clean_fn(
            options.get("clean", "whitespace" if own else "lower")
        )
        assert tokenizer.clean_fn is cleaned
        assert getattr(tokenizer, "strip_sep_token", False) == options.get("strip_sep_token", False)
        assert all(torch.equal(v, state[k]) for k, v in network.state_dict().items())


def test_open_clip_marks_as_many_tags_as_this_was_written_for():
    """Fewer would mean that the marks have moved elsewhere."""
    marked = [p for p in open_clip.list_pretrained() if published(*p).quick_gelu]
    assert len(marked) >= 54
    assert len(open_clip.list_pretrained()) >= 196


@pytest.mark.parametrize(("name", "arch"), OPENAI.items())
def test_openai_s_names(name, arch):
    spec = parse_specs(name)[0]
    assert (spec.arch, spec.tag) == (arch, "openai")
    assert published(arch, "openai").quick_gelu


@pytest.mark.parametrize(
    ("arch", "name", "state", "tag"),
    [
        ("ViT-B-32", "w.pt", MARKS, "openai"),
        ("ViT-B-32", "b32_400m.pt", {}, "metaclip_400m"),
        ("ViT-B-32", "vit_b_32-quickgelu-laion400m_e31-d867053b.pt", {}, "laion400m_e31"),
        ("ViT-B-32", "vitb32_openai_style.pt", {}, "openai"),
        ("ViT-B-16", "dfn2b/open_clip_model.safetensors", {}, "dfn2b"),
        ("ViT-B-16", "models--apple--DFN2B-CLIP-ViT-B-16/snapshots/1/a.bin", {}, "dfn2b"),
        ("ViT-L-14", "dfn2b-s39b.bin", {}, "dfn2b_s39b"),
        ("ViT-B-32", "ViT-B-32.pt", {}, ""),
        ("ViT-B-32", "my-open-air.pt", {}, ""),
        (
            "ViT-B-32",
            "finetuned.pt",
            {
                "token_embedding.weight": torch.zeros(1),
                "ln_final.weight": torch.zeros(1),
                "text_projection": torch.zeros(1).half(),
            },
            "openai",
        ),
        (
            "ViT-B-32",
            "all-half.pt",
            {k: torch.zeros(1).half() for k in ("ln_final.weight", "text_projection")},
            "",
        ),
    ],
)
def test_files_are_recognised(arch, name, state, tag):
    assert recognise(arch, Path(name), state)[0] == tag


@pytest.mark.parametrize("arch", sorted({a for a, _ in open_clip.list_pretrained()}))
def test_a_file_is_taken_as_the_tags_agree(arch, caplog, recwarn):
    caplog.set_level(logging.INFO, "guidance")
    ways = {str(published(arch, t)) for t in tags(arch)}
    taken = of_file(arch, Path("mine.pt"), {})
    told = [str(w.message) for w in recwarn]
    assert str(taken) in ways
    if len(ways) == 1:
        assert told == []
        assert f"mine.pt is computed as the published weights of {arch} are: {taken}" in caplog.text
    else:
        other = (
            told[0].partition("name that: ")[2].removesuffix("=mine.pt").removeprefix(f"{arch}/")
        )
        assert str(published(arch, other)) != str(taken)
        assert str(taken) in told[0]


def test_what_is_taken_where_tags_differ():
    with pytest.warns(
        UserWarning, match=r"were trained in 3 ways; a\.pt is computed with GELU"
    ) as caught:
        taken = of_file("ViT-L-14", Path("a.pt"), {})
    assert not taken.quick_gelu
    assert taken.preprocess["mean"] == open_clip.OPENAI_DATASET_MEAN
    assert "ViT-L-14/openai=a.pt" in str(caught[0].message)
    taken = of_file("ViT-L-14", Path("a.pt"), MARKS)
    assert taken.quick_gelu


def test_where_nothing_is_published(caplog):
    caplog.set_level(logging.INFO, "guidance")
    taken = of_file("ViT-M-32", Path("a.pt"), {})
    assert not taken.quick_gelu
    assert taken.preprocess["std"] == open_clip.OPENAI_DATASET_STD
    assert "no weights of ViT-M-32 are published" in caplog.text
    assert of_file("ViT-B-32-256", Path("a.pt"), MARKS).quick_gelu  # OpenAI's, at another size


def test_an_unknown_tag():
    with pytest.raises(InputError, match="unknown tag of ViT-B-32 'opnai'; did you mean openai"):
        published("ViT-B-32", "opnai")
