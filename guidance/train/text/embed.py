"""Texts → sentence embeddings, by all-MiniLM-L6-v2."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.data import shards
from guidance.errors import InputError
from guidance.files.text import read_lines
from guidance.files.writing import make_folder
from guidance.train.clip.sentences import SentenceTable
from guidance.train.data.names import photo_of
from guidance.train.loop.chunks import Chunks
from guidance.train.text.options import EmbedOptions


class Sentences:
    """all-MiniLM-L6-v2: texts → unit vectors ``[N, 384]`` (mean of the token states)."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self.tokens = AutoTokenizer.from_pretrained(folder, local_files_only=True)
        self.model = AutoModel.from_pretrained(folder, local_files_only=True).eval()

    @torch.no_grad()
    def __call__(self, texts: list[str]) -> Tensor:
        """Embed one batch of `texts`."""
        batch = self.tokens(
            texts, padding=True, truncation=True, max_length=96, return_tensors="pt"
        )
        with torch.autocast("cpu", torch.bfloat16):
            states = self.model(**batch).last_hidden_state.float()
        mask = batch["attention_mask"][..., None]
        return F.normalize((states * mask).sum(1) / mask.sum(1), dim=-1)


def embed_all(encoder: Sentences, texts: list[str], chunks: Chunks, size: int = 256) -> np.ndarray:
    """Embed `texts` in batches of similar length: float16 ``[len(texts), 384]``."""
    order = np.argsort([len(t) for t in texts])
    parts = [order[i : i + size] for i in range(0, len(order), size)]
    out = np.zeros((len(texts), 384), np.float16)

    def work(part: np.ndarray) -> None:
        out[part] = encoder([texts[i] for i in part]).numpy()

    chunks.map(work, parts)
    return out


def embed(options: EmbedOptions) -> None:
    """Write the embeddings of all texts."""
    from open_clip.zero_shot_metadata import IMAGENET_CLASSNAMES

    for name, path in (("--minilm", options.minilm), ("--texts", options.texts)):
        if path is not None and not path.exists():
            raise InputError(f"{name}: {path} does not exist")
    texts = shards.read(options.data).texts()
    if options.texts:
        texts += read_lines(options.texts, "texts")
    texts += [photo_of(name) for name in IMAGENET_CLASSNAMES]
    texts = list(dict.fromkeys(t for t in texts if t.strip()))
    make_folder(options.out)
    encoder, chunks, start = Sentences(options.minilm), Chunks(options.threads), time.perf_counter()
    SentenceTable(texts, torch.from_numpy(embed_all(encoder, texts, chunks))).save(options.out)
    seconds = time.perf_counter() - start
    print(f"{len(texts)} texts, {seconds:.0f} s, {len(texts) / seconds:.0f} texts/s", flush=True)
