"""Sentence embeddings → the text tower that gives them."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from guidance.clip.context import cut
from guidance.conventions import derive_seed, make_generator
from guidance.train import losses
from guidance.train.clip import model
from guidance.train.clip.sentences import SentenceTable
from guidance.train.clip.teachers import tokenize_all
from guidance.train.loop import schedule, trainer
from guidance.train.text.embed import Sentences
from guidance.train.text.options import DistilOptions

GROUP = 8  # batches drawn at once, so that each can have texts of like length
PART = 128  # texts per CPU thread and pass
UNSEEN = 2000  # texts that are left out, to measure on


@torch.no_grad()
def start_tokens(text: Any, bpe, minilm: Path) -> None:
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


class Trainer(trainer.Trainer[DistilOptions, Tensor]):
    """The training of a text tower on the embeddings of a sentence encoder."""

    def read(self) -> None:
        """Open the embeddings and the architecture's configuration."""
        self.config = model.read_config(self.options.architecture)
        self.table = SentenceTable.load(self.options.sentences)
        self.result = self.options.out

    def build(self) -> None:
        """Build the tower; some of the texts stay unseen."""
        given, texts = self.options, self.table.texts
        torch.backends.cuda.enable_flash_sdp(False)  # on CPU, too: its bfloat16 backward is slow
        tokenizer = model.tokenizer(self.config)
        clip: Any = model.build(self.config)  # open_clip's, whose towers have no types
        self.network = clip.text
        if given.init:
            self.network.load_state_dict(model.load_state(given.init))
        else:
            start_tokens(self.network, tokenizer, given.minilm)
        self.network.to(self.device)
        self.tokens = tokenize_all(tokenizer, texts)
        order = torch.randperm(len(texts), generator=make_generator(given.seed))
        self.unseen, self.rows = order[:UNSEEN], order[UNSEEN:].sort()[0]
        self.optimisers = [
            torch.optim.AdamW(self.network.parameters(), weight_decay=0.01, fused=True)
        ]

    def batches(self, start: int) -> Iterator[Tensor]:
        """Yield numbers of texts ``[N]``; those of a batch are of like length."""
        size = self.options.batch
        for group in itertools.count(start // GROUP):
            rng = make_generator(derive_seed(self.options.seed, "texts", group))
            pick = self.rows[torch.randint(len(self.rows), (GROUP * size,), generator=rng)]
            lengths = (self.tokens[pick] != 0).sum(1)
            batches = pick[lengths.argsort()].view(GROUP, -1)[torch.randperm(GROUP, generator=rng)]
            batches = [b[torch.randperm(size, generator=rng)] for b in batches]
            yield from batches[start % GROUP if group == start // GROUP else 0 :]

    def schedule(self, done: float) -> float:
        """Return the factor of the learning rate, which rises and falls as lines."""
        return schedule.warm_line(done, self.options.warmup)

    def gradients(self, batch: Tensor, done: float) -> dict[str, float]:
        """Learn to give the embeddings of texts."""
        goal = self.table.embeddings[batch].float().to(self.device)
        dtype = torch.bfloat16 if self.options.precision == "bf16" else torch.float32
        with cut(self.network, self.tokens[batch]) as short:
            out = self.chunks.forward(self.network, short.to(self.device).split(PART), dtype)
            loss = losses.likeness(out.features, goal)
            loss.backward()
            out.backward()
        return {"loss": float(loss.detach())}

    def export(self) -> None:
        """Write the tower."""
        model.save_state(self.average.state, self.result, torch.float32)

    @torch.no_grad()
    def saved(self) -> None:
        """Report the mean cosine to the embeddings of texts that the training leaves out."""
        cosines = []
        for some in self.unseen.split(500):
            with cut(self.network, self.tokens[some]) as short:
                given = self.network(short.to(self.device)).float().cpu()
            cosines.append(F.cosine_similarity(given, self.table.embeddings[some].float()))
        self.log.say(self.step, f"cosine on unseen texts {torch.cat(cosines).mean():.4f}")


def distil(options: DistilOptions) -> None:
    """Run ``python -m guidance.train.text distil``."""
    Trainer(options).run()
