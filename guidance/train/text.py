"""Texts → sentence embeddings → the text tower.

``embed`` runs a sentence encoder, all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957;
sentence-transformers), once over every caption of the shards, every line of ``--texts`` and the
names of the ImageNet classes, and writes `SentenceTable` into ``--out``.

``distil`` trains the text tower of a CLIP to give the same embeddings: cosine distance plus the KL
divergence of the similarities within a batch (Hinton et al. 2015, arXiv:1503.02531).

    python -m guidance.train.text embed --minilm all-MiniLM-L6-v2 --data "shards/*.tar" \
        --texts shards/texts.txt --out sentences
    python -m guidance.train.text distil --minilm all-MiniLM-L6-v2 --sentences sentences \
        --out text.safetensors --minutes 60
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.context import cut
from guidance.command.cli import Several
from guidance.command.launch import Command, Commands
from guidance.data import shards
from guidance.errors import InputError
from guidance.files.text import read_lines
from guidance.files.writing import make_folder
from guidance.train import model as mini
from guidance.train.names import with_article
from guidance.train.parallel import Chunks
from guidance.train.sentences import SentenceTable
from guidance.train.teachers import tokenize_all

PHOTO = "a photo of {}"


@dataclass(frozen=True)
class EmbedOptions:
    """Embed captions and texts with a sentence encoder."""

    minilm: Path
    """Folder of all-MiniLM-L6-v2."""
    data: Several[tuple[str, ...]]
    """Shards or folders whose captions are embedded; may be repeated."""
    out: Path
    """Folder for ``texts.txt`` and ``embeddings.npy``."""
    texts: Path | None = None
    """File with further texts, one a line."""
    threads: int = 2
    """CPU threads."""


@dataclass(frozen=True)
class DistilOptions:
    """Train the text tower to give the embeddings of a sentence encoder."""

    minilm: Path
    """Folder of all-MiniLM-L6-v2; its word pieces start the token embedding."""
    sentences: Path
    """Folder written by ``embed``."""
    architecture: str = "mini"
    """A name in guidance/clip/configs or the path of an open_clip_config.json; its text tower must
    be one of open_clip's own."""
    out: Path = Path("text.safetensors")
    """The text tower is written here (safetensors, float32)."""
    minutes: float = 10.0
    """Wall-clock length of the training; the learning rate follows it."""
    steps: int = 0
    """Length in steps instead, if not 0."""
    batch: int = 512
    """Texts per step."""
    rate: float = 2e-3
    """Peak learning rate."""
    warmup: float = 0.05
    """Share of the run in which the rate rises."""
    init: Path | None = None
    """Continue from this text tower."""
    seed: int = 0
    """Seed of weights and batches."""
    threads: int = 2
    """CPU threads, each with its own part of the batch."""


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
    texts += [PHOTO.format(with_article(name)) for name in IMAGENET_CLASSNAMES]
    texts = list(dict.fromkeys(t for t in texts if t.strip()))
    make_folder(options.out)
    encoder, chunks, start = Sentences(options.minilm), Chunks(options.threads), time.perf_counter()
    SentenceTable(texts, torch.from_numpy(embed_all(encoder, texts, chunks))).save(options.out)
    seconds = time.perf_counter() - start
    print(f"{len(texts)} texts, {seconds:.0f} s, {len(texts) / seconds:.0f} texts/s", flush=True)


@torch.no_grad()
def start_tokens(text: torch.nn.Module, bpe, minilm: Path) -> None:
    """Start the BPE token embedding ``[V, width]`` from MiniLM's word pieces.

    Each BPE token is cut into word pieces; the mean of their vectors is projected on the main
    directions of all of them, so that words never seen in training have a meaning, too.
    """
    encoder = Sentences(minilm)
    words = [bpe.decoder[i].replace("</w>", "") for i in range(text.vocab_size - 2)]
    words = [bytearray(bpe.byte_decoder[c] for c in w).decode("utf-8", "replace") for w in words]
    pieces = encoder.tokens([w or " " for w in words], add_special_tokens=False)["input_ids"]
    table = encoder.model.get_input_embeddings().weight
    mean = torch.stack([table[p].mean(0) if p else table.mean(0) for p in pieces])
    mean = mean - mean.mean(0)
    width = text.token_embedding.weight.shape[1]
    _, _, v = torch.linalg.svd(mean[:: max(1, len(mean) // 8192)], full_matrices=False)
    low = mean @ v[:width].T
    text.token_embedding.weight[: len(words)] = low * (0.06 / low.std())


def distillation_loss(student: Tensor, teacher: Tensor, scale: float = 20.0) -> Tensor:
    """Cosine distance plus KL of in-batch similarities; both ``[N, D]``, teacher unit length."""
    student = F.normalize(student, dim=-1)
    cosine = 1 - (student * teacher).sum(-1).mean()
    target = (scale * teacher @ teacher.T).softmax(-1)
    log_p = (scale * student @ teacher.T).log_softmax(-1)
    return 2 * cosine + F.kl_div(log_p, target, reduction="batchmean")


def distil(options: DistilOptions) -> None:
    """Train the text tower and write it."""
    torch.manual_seed(options.seed)
    torch.backends.cuda.enable_flash_sdp(False)  # on CPU, too: its bfloat16 backward is slow
    config = mini.read_config(options.architecture)
    bpe, text = mini.tokenizer(config), mini.build(config).text
    if options.init:
        text.load_state_dict(mini.load_state(options.init))
    else:
        start_tokens(text, bpe, options.minilm)
    table = SentenceTable.load(options.sentences)
    texts, target = table.texts, table.embeddings
    tokens = tokenize_all(bpe, texts)
    rng = torch.Generator().manual_seed(options.seed)
    check = torch.randperm(len(texts), generator=rng)[:2000]
    kept = torch.ones(len(texts), dtype=torch.bool).index_fill_(0, check, False)
    train(text, tokens, target, kept.nonzero()[:, 0], check, options, rng)
    mini.save_state(text.state_dict(), options.out, torch.float32)


def train(text, tokens: Tensor, target: Tensor, rows: Tensor, check: Tensor, options, rng) -> None:
    """Run the distillation on `rows`; print the mean cosine on `check` about every minute."""
    chunks, begin = Chunks(options.threads), time.perf_counter()
    optimiser = torch.optim.AdamW(text.parameters(), lr=1e-3, weight_decay=0.01, fused=True)
    step, said, done = 0, 0.0, 0.0
    while done < 1:
        pick = rows[torch.randint(len(rows), (8 * options.batch,), generator=rng)]
        lengths = (tokens[pick] != 0).sum(1)
        for batch in pick[lengths.argsort()].view(8, -1)[torch.randperm(8, generator=rng)]:
            spent = time.perf_counter() - begin
            done = step / options.steps if options.steps else spent / (60 * options.minutes)
            if done >= 1:
                break
            for group in optimiser.param_groups:
                rise, fall = done / options.warmup, (1 - done) / (1 - options.warmup) + 0.01
                group["lr"] = options.rate * min(rise, fall, 1.0)
            batch = batch[torch.randperm(len(batch), generator=rng)]
            goal = target[batch].float()
            with cut(text, tokens[batch]) as short:
                out = chunks.forward(text, short.split(128))
                loss = distillation_loss(out.features, goal)
                loss.backward()
                out.backward()
            torch.nn.utils.clip_grad_norm_(text.parameters(), 1.0)
            optimiser.step()
            optimiser.zero_grad()
            step += 1
            if spent - said > 60:
                said = spent
                mini.save_state(text.state_dict(), options.out, torch.float32)
                score = agreement(text, tokens[check], target[check])
                print(f"{step} {spent:.0f} s loss {loss.item():.4f} unseen {score:.4f}", flush=True)
    score = agreement(text, tokens[check], target[check])
    print(f"{step} steps of {options.batch}, cosine on unseen texts {score:.4f}")


@torch.no_grad()
def agreement(text: torch.nn.Module, tokens: Tensor, target: Tensor) -> float:
    """Return the mean cosine between the tower's embeddings of `tokens` and `target`."""
    parts = []
    for some, goal in zip(tokens.split(500), target.split(500), strict=True):
        with cut(text, some) as short:
            parts.append(F.cosine_similarity(text(short).float(), goal.float()))
    return torch.cat(parts).mean().item()


main = Commands(
    "train.text",
    {
        "embed": Command("train.text embed", EmbedOptions, embed),
        "distil": Command("train.text distil", DistilOptions, distil),
    },
)

if __name__ == "__main__":
    raise SystemExit(main())
