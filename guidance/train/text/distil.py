"""Sentence embeddings → the text tower that gives them."""

from __future__ import annotations

import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.context import cut
from guidance.train.clip import model as mini
from guidance.train.clip.sentences import SentenceTable
from guidance.train.clip.teachers import tokenize_all
from guidance.train.loop.chunks import Chunks
from guidance.train.text.embed import Sentences
from guidance.train.text.options import DistilOptions


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
