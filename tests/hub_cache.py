"""A cache of the model hub with tiny real tokenizers and text towers; nothing is downloaded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

CONFIG = "open_clip_config.json"
WORDS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "fox", "boat", "at", "sunrise")
TOWER = {
    "model_type": "roberta", "vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 1,
    "num_attention_heads": 2, "intermediate_size": 32, "max_position_embeddings": 90,
    "pad_token_id": 1,
}  # fmt: skip


def write_tokenizer(folder: Path, **config: object) -> Path:
    """Write the files of a word tokenizer; `config` goes into its configuration."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    tokenizer = Tokenizer(models.WordLevel({w: i for i, w in enumerate(WORDS)}, "[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    folder.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {"pad_token": "[PAD]", "unk_token": "[UNK]", "cls_token": "[CLS]", "sep_token": "[SEP]"}
    config = {"tokenizer_class": "PreTrainedTokenizerFast", **names} | config
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return folder


def use_cache(monkeypatch: pytest.MonkeyPatch, folder: Path) -> Path:
    """Make `folder` the cache of the hub's client."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(folder))
    return folder


def cached(cache: Path, repository: str) -> Path:
    """Return the folder of `repository` in a cache, made as the client makes it."""
    root = cache / "--".join(["models", *repository.split("/")])
    (root / "refs").mkdir(parents=True, exist_ok=True)
    commit = "0" * 40
    (root / "refs" / "main").write_text(commit)
    (root / "snapshots" / commit).mkdir(parents=True, exist_ok=True)
    return root / "snapshots" / commit


def change(folder: Path, text: dict | None = None, vision: dict | None = None, **top: object):
    """Change the texts', the pictures' or other fields of a CLIP's configuration."""
    config = json.loads((folder / CONFIG).read_text())
    config["model_cfg"]["text_cfg"] |= text or {}
    config["model_cfg"]["vision_cfg"] |= vision or {}
    config["model_cfg"] |= top
    (folder / CONFIG).write_text(json.dumps(config))
