"""Tokenizers with files of their own: looked at, never run, and named when they are missing."""

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
import torch
from hub_cache import CONFIG, TOWER, cached, change, use_cache, write_tokenizer
from open_clip import factory
from safetensors.torch import save_file
from systems import posix
from tiny_clip import TINY

from guidance.clip import load_clip
from guidance.errors import ModelError

WEIGHTS = "open_clip_model.safetensors"
EVIL = """
import pathlib
pathlib.Path({mark!r}).write_text("ran")
from transformers import PreTrainedTokenizerFast

class Evil(PreTrainedTokenizerFast):
    pass
"""


@pytest.fixture
def folder(tiny_clip_path, tmp_path):
    """Return a CLIP that reads texts with a tokenizer in its folder."""
    path = shutil.copytree(tiny_clip_path, tmp_path / "model")
    change(path, text={"hf_tokenizer_name": "somebody/words"})
    return write_tokenizer(path)


def test_a_tokenizer_in_the_folder(folder, no_network):
    model = load_clip(str(folder))
    ids = model.tokenizer(["a fox", "a boat at sunrise"])
    assert ids.shape == (2, 16)
    assert ids[0, :4].tolist() == [2, 4, 5, 3]
    assert model.encode_text(["a fox"]).shape == (1, 32)


def test_options_that_a_tokenizer_may_have(folder):
    change(folder, text={"tokenizer_kwargs": {"clean": "canonicalize", "strip_sep_token": True,
                                              "trust_remote_code": False}})  # fmt: skip
    ids = load_clip(str(folder)).tokenizer(["A  FOX!"])[0]
    assert ids[:4].tolist() == [2, 4, 5, 0]


@pytest.mark.parametrize("where", ["tokenizer_config.json", "config.json"])
@pytest.mark.parametrize("listed", [True, False])
@pytest.mark.parametrize("kind", ["Evil", "PreTrainedTokenizerFast", None])
@pytest.mark.parametrize("asked", [True, False])
def test_python_beside_the_weights_never_runs(folder, tmp_path, where, listed, kind, asked):
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(EVIL.format(mark=str(mark)))
    reference = [None, "evil.Evil"]
    config = json.loads((folder / where).read_text()) if (folder / where).is_file() else {}
    config["auto_map"] = reference if listed else {"AutoTokenizer": reference,
                                                   "AutoConfig": "evil.Evil"}  # fmt: skip
    config["tokenizer_class"] = kind
    (folder / where).write_text(json.dumps(config))
    if asked:
        change(folder, text={"tokenizer_kwargs": {"trust_remote_code": True}})
    with pytest.raises(ModelError, match=r"never (done|run)|unknown kind") as caught:
        load_clip(str(folder))
    assert "\n" not in str(caught.value)
    assert not mark.exists()
    assert "evil" not in sys.modules


def test_the_attack_works_elsewhere(folder, tmp_path, monkeypatch):
    """What is refused above does run where nobody looks."""
    import open_clip
    from transformers import dynamic_module_utils

    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(sys, "path", [*sys.path])
    mark = tmp_path / "ran"
    (folder / "evil.py").write_text(EVIL.format(mark=str(mark)))
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": [None, "evil.Evil"]}, "tokenizer_class": "Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    open_clip.tokenizer.HFTokenizer(str(folder), trust_remote_code=True)
    assert mark.exists()


@pytest.mark.parametrize("kind", ["BertJapaneseTokenizer", "RagTokenizer", 7, {"a": 1}])
def test_tokenizers_of_other_kinds(folder, kind):
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"tokenizer_class": kind}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="of the unknown kind"):
        load_clip(str(folder))


def test_a_file_outside_the_folder(folder, tmp_path):
    write_tokenizer(tmp_path / "elsewhere")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {
        "tokenizer_file": str(tmp_path / "elsewhere" / "tokenizer.json")}))  # fmt: skip
    with pytest.raises(ModelError, match="names a file outside it"):
        load_clip(str(folder))
    # where it was saved once says nothing here
    (folder / "tokenizer_config.json").write_text(json.dumps(config | {
        "special_tokens_map_file": "/root/x.json", "name_or_path": "/root/x"}))  # fmt: skip
    assert load_clip(str(folder))


@posix
def test_a_pipe_is_not_waited_for(folder):
    os.mkfifo(folder / "special_tokens_map.json")
    with pytest.raises(ModelError, match="not a regular file"):
        load_clip(str(folder))


@pytest.mark.parametrize("value", [1, True, "evil.Evil", ["evil.Evil"]])
def test_code_is_named_in_no_form(folder, value):
    config = json.loads((folder / "tokenizer_config.json").read_text()) | {"auto_map": value}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="never run"):
        load_clip(str(folder))


def test_damaged_tokenizers_are_one_line(folder):
    for name, content in (
        ("tokenizer_config.json", b"{"),
        ("tokenizer_config.json", b"[]"),
        ("tokenizer_config.json", b"\xff\xfe"),
        ("tokenizer.json", b"{}"),
        ("tokenizer.json", b""),
    ):
        before = (folder / name).read_bytes()
        (folder / name).write_bytes(content)
        with pytest.raises(ModelError) as caught:
            load_clip(str(folder))
        assert "\n" not in str(caught.value)
        (folder / name).write_bytes(before)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"somebody/words, and its files \(tokenizer.json"):
        load_clip(str(folder))


@pytest.fixture
def foreign_words(monkeypatch, tiny_clip_path, tmp_path):
    """Register an architecture whose tokenizer is in the hub; return its weights."""
    config = json.loads(json.dumps(TINY["model_cfg"]))
    config["text_cfg"]["hf_tokenizer_name"] = "somebody/words"
    monkeypatch.setitem(factory._MODEL_CONFIGS, "tiny-words", config)
    use_cache(monkeypatch, tmp_path / "hub")
    return Path(shutil.copy(tiny_clip_path / WEIGHTS, tmp_path / "w.safetensors"))


def test_a_missing_tokenizer_is_named_before_the_weights_are_read(foreign_words, no_network):
    foreign_words.write_bytes(b"not even weights")
    with pytest.raises(
        ModelError, match=r"tokenizer somebody/words, .* fetch it once: hf download"
    ):
        load_clip(f"tiny-words={foreign_words}")


def test_a_tokenizer_of_the_cache_or_beside_the_weights(foreign_words, tmp_path, no_network):
    for folder in (cached(tmp_path / "hub", "somebody/words"), foreign_words.parent):
        write_tokenizer(folder)
        model = load_clip(f"tiny-words={foreign_words}")
        assert model.tokenizer(["a fox"])[0, :4].tolist() == [2, 4, 5, 3]
        shutil.rmtree(tmp_path / "hub", ignore_errors=True)


def test_without_transformers(foreign_words, monkeypatch, no_network):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ModelError, match=r"package transformers, .*pip install transformers"):
        load_clip(f"tiny-words={foreign_words}")


@pytest.fixture
def repository(monkeypatch, folder, tmp_path):
    """Return the cached files of ``hf-hub:somebody/clip``, whose tokenizer is of another one."""
    cache = use_cache(monkeypatch, tmp_path / "hub")
    place = cached(cache, "somebody/clip")
    for name in (WEIGHTS, CONFIG):
        shutil.copy(folder / name, place)
    write_tokenizer(cached(cache, "somebody/words"))
    return place


def test_a_repository_of_the_hub(repository):
    model = load_clip("hf-hub:somebody/clip")
    assert model.tokenizer(["a fox"])[0, :4].tolist() == [2, 4, 5, 3]


def test_python_of_a_repository_never_runs(repository, tmp_path):
    mark = tmp_path / "ran"
    words = cached(tmp_path / "hub", "somebody/words")
    (words / "evil.py").write_text(EVIL.format(mark=str(mark)))
    config = json.loads((words / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": [None, "evil.Evil"]}, "tokenizer_class": "Evil"}
    (words / "tokenizer_config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="auto_map"):
        load_clip("hf-hub:somebody/clip")
    change(repository, text={"tokenizer_kwargs": {"trust_remote_code": True}})
    with pytest.raises(ModelError, match="trust_remote_code"):
        load_clip("hf-hub:somebody/clip")
    assert not mark.exists()


def with_tower(cache, folder, **config):
    """Let the CLIP in `folder` read with a text tower of transformers, and give it weights."""
    import open_clip

    (cached(cache, "somebody/tower") / "config.json").write_text(json.dumps(TOWER | config))
    model = json.loads((folder / CONFIG).read_text())["model_cfg"]
    text = {"hf_model_name": "somebody/tower", "hf_tokenizer_name": "somebody/words",
            "hf_pooler_type": "cls_last_hidden_state_pooler"}  # fmt: skip
    change(folder, text=text)
    named = text | {"hf_model_name": str(cached(cache, "somebody/tower"))}
    named["hf_model_pretrained"] = False
    if config.get("num_hidden_layers", 1) == 1 and len(config) <= 1:
        network = open_clip.CustomTextCLIP(32, model["vision_cfg"], named)
        state = {k: v.contiguous() for k, v in network.state_dict().items()}
        save_file(state, folder / WEIGHTS)


def test_a_text_tower_of_another_repository(repository, tmp_path):
    with_tower(tmp_path / "hub", repository)
    assert load_clip("hf-hub:somebody/clip").encode_text(["a fox"]).shape == (1, 32)


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"auto_map": {"AutoConfig": "evil.Evil"}, "a": 1}, "asks for code .'auto_map'"),
        ({"_attn_implementation": "somebody/kernel", "a": 1}, "asks for code"),
        ({"quantization_config": {"quant_method": "x"}, "a": 1}, "asks for code"),
        ({"model_type": "evil", "a": 1}, "of the kind 'evil'; open_clip takes roberta"),
        ({"hidden_size": 2**40, "a": 1}, "has the value"),
        ({"num_hidden_layers": 10**5, "a": 1}, "network of at least"),
        ({"vocab_size": 2**30, "a": 1}, "network of at least"),
    ],
)
def test_a_text_tower_gets_no_more_than_it_needs(repository, tmp_path, config, message):
    with_tower(tmp_path / "hub", repository, **config)
    with pytest.raises(ModelError, match=message):
        load_clip("hf-hub:somebody/clip")


@pytest.mark.parametrize("name", ["../words", "/words", "a/b/c", "..", "words:x", "./words"])
def test_a_repository_names_another_by_its_name_only(repository, tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    write_tokenizer(tmp_path / "words")
    change(repository, text={"hf_tokenizer_name": name})
    with pytest.raises(ModelError, match="is no name of a repository"):
        load_clip("hf-hub:somebody/clip")


def test_a_folder_here_does_not_stand_for_a_repository(repository, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    os.makedirs("somebody/words")
    assert load_clip("hf-hub:somebody/clip").tokenizer(["fox"])[0, 1] == 5
    state = {"a": torch.ones(1)}
    save_file(state, repository / WEIGHTS)
    with pytest.raises(ModelError, match="network of at least"):
        load_clip("hf-hub:somebody/clip")
