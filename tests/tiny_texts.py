"""Tiny text towers with every kind of tokenizer that open_clip has, made on the spot.

The vocabularies of transformers, which are downloaded else, are single bytes here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from guidance.clip.model import ClipModel
from guidance.clip.preprocess import Preprocess

BYTES = 256
LENGTH = 20  # tokens that the towers read
TEXT = {"width": 16, "heads": 2, "layers": 1, "context_length": LENGTH}
VISION = {"image_size": 16, "layers": 1, "width": 64, "patch_size": 16}
LAST = {"pool_type": "last", "no_causal_mask": True}
KINDS = {  # special tokens in their order, and what a text looks like
    "bert": (["[PAD]", "[UNK]", "[CLS]", "[SEP]"], "[CLS] $A [SEP]", {"sep_token": "[SEP]"}),
    "xlm": (["<s>", "<pad>", "</s>"], "<s> $A </s>", {}),
    "t5": (["<unk>", "</s>"], "$A </s>", {}),  # SigLIP fills up with the end mark
    "gemma": (["<pad>", "<eos>"], "$A <eos>", {}),
}
MARKS = {  # padding and end
    "bert": ("[PAD]", "[SEP]"),
    "xlm": ("<pad>", "</s>"),
    "t5": ("</s>", "</s>"),
    "gemma": ("<pad>", "<eos>"),
}


def byte_tokenizer(kind: str) -> Any:
    """Return a fast tokenizer of transformers whose tokens are bytes, after the special ones."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    special, template, more = KINDS[kind]
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*special, *letters])}
    made = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    marks = [(t, vocabulary[t]) for t in special]
    made.post_processor = processors.TemplateProcessing(single=template, special_tokens=marks)
    pad, end = MARKS[kind]
    return PreTrainedTokenizerFast(
        tokenizer_object=made, pad_token=pad, eos_token=end, padding_side="right", **more
    )


def hf_tokenizer(kind: str, folder: Path, **options: Any) -> Any:
    """Return open_clip's tokenizer for models of transformers, with its files in `folder`."""
    import open_clip

    byte_tokenizer(kind).save_pretrained(folder)
    return open_clip.tokenizer.HFTokenizer(str(folder), **options)


def siglip_tokenizer(kind: str, context_length: int) -> Any:
    """Return open_clip's tokenizer for SigLIP, whose constructor wants a file of sentencepiece."""
    from open_clip.tokenizer import SigLipTokenizer

    made = SigLipTokenizer.__new__(SigLipTokenizer)
    made.tokenizer, made.context_length = byte_tokenizer(kind), context_length
    return made


def vocabulary_size(kind: str) -> int:
    """Return the number of tokens of a kind."""
    return len(KINDS[kind][0]) + BYTES


def text_model(kind: str, folder: Path) -> ClipModel:
    """Return a CLIP whose text tower and tokenizer are of one of the kinds that open_clip has.

    Args:
        kind: clip, custom, reduced, coca, clipa, siglip, siglip2, worldwide or roberta.
        folder: for the files of the tokenizer.
    """
    torch.manual_seed(0)
    network, tokenizer = _simple(kind) or _transformers(kind, folder)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return ClipModel(network, tokenizer, Preprocess(16, (0.5,) * 3, (0.5,) * 3), name=kind)


def _simple(kind: str) -> tuple[torch.nn.Module, Any] | None:
    import open_clip

    text = {"vocab_size": 49408, **TEXT}
    options = {"clip": {}, "custom": {"clean": "canonicalize"}, "coca": {},
               "reduced": {"reduction_mask": "simple"}}  # fmt: skip
    if kind not in options:
        return None
    tokenizer = open_clip.SimpleTokenizer(context_length=LENGTH, **options[kind])
    if kind == "coca":
        pool = {"attentional_pool": True, "attn_pooler_heads": 2, "output_tokens": True}
        text |= {"embed_cls": True, "output_tokens": True}
        return open_clip.CoCa(16, TEXT, text, VISION | pool), tokenizer
    make = open_clip.CustomTextCLIP if kind == "custom" else open_clip.CLIP
    return make(embed_dim=16, vision_cfg=VISION, text_cfg=text), tokenizer


def _transformers(kind: str, folder: Path) -> tuple[torch.nn.Module, Any]:
    import open_clip

    if kind == "roberta":
        return _roberta(), hf_tokenizer("xlm", folder, context_length=LENGTH)
    words, settings, options = {
        "clipa": ("bert", LAST, {"strip_sep_token": True}),
        "siglip": ("t5", {**LAST, "proj_bias": True}, {"clean": "canonicalize"}),
        "siglip2": ("gemma", LAST, {}),
        "worldwide": ("xlm", {"pool_type": "eos", "eos_id": 2}, {}),
    }[kind]
    text = {**TEXT, "vocab_size": vocabulary_size(words), **settings}
    make = open_clip.CustomTextCLIP if "siglip" in kind else open_clip.CLIP
    network = make(embed_dim=16, vision_cfg=VISION, text_cfg=text)
    if kind == "siglip2":
        return network, siglip_tokenizer(words, LENGTH)
    return network, hf_tokenizer(words, folder, context_length=LENGTH, **options)


def _roberta() -> torch.nn.Module:
    """Return a CLIP whose text tower is one of transformers."""
    import open_clip
    from open_clip.hf_model import HFTextEncoder
    from transformers import RobertaConfig

    network = open_clip.CustomTextCLIP(
        embed_dim=16, vision_cfg=VISION, text_cfg={"vocab_size": 49408, **TEXT}
    )
    config = RobertaConfig(
        vocab_size=vocabulary_size("xlm"), hidden_size=16, num_hidden_layers=1, pad_token_id=1,
        num_attention_heads=2, intermediate_size=16, max_position_embeddings=LENGTH + 2,
    )  # fmt: skip
    network.text = HFTextEncoder("", 16, config, "mean_pooler", "linear")
    return network
