"""Learned contexts: class names → text embeddings of prompts whose other words are vectors.

CoOp (Zhou et al. 2022, "Learning to Prompt for Vision-Language Models", arXiv:2109.01134, section
3.2) puts M free vectors where a prompt says "a photo of a"; CoCoOp (Zhou et al. 2022, "Conditional
Prompt Learning", arXiv:2203.05557, section 3.2) adds to each what a small network makes of the
image. Both towers of the CLIP stay as they are.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Generator, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from guidance.clip.context import cut, taken
from guidance.clip.model import ClipModel
from guidance.clip.overflow import padding
from guidance.conventions import check_shape
from guidance.errors import InputError

START = 0.02  # spread of random context vectors, as of CLIP's token embeddings when they start
MAX_CONTEXT = 64
SQUEEZE = 16  # the network of CoCoOp is this many times narrower than the embedding


class Prompts(nn.Module):
    """Prompts "[V]1 ... [V]M NAME." with learned vectors V, one for each class name.

    Args:
        model: a CLIP whose text tower is open_clip's own; its weights are not changed.
        names: of the classes, C of them.
        context: words the vectors begin as ("a photo of a"), or a number of random ones ("16").
        conditional: CoCoOp: shift the vectors by what the image says. The last layer of its
            network begins at zero, so that the training starts from the plain prompts.
        each: learn vectors for every class rather than common ones.
        generator: of the random start.

    Raises:
        InputError: another kind of text tower, a context out of range, or a name that does not
            fit into the tower beside it.
    """

    def __init__(
        self,
        model: ClipModel,
        names: Sequence[str],
        *,
        context: str = "a photo of a",
        conditional: bool = False,
        each: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self._model = (model,)  # in a tuple, so that the frozen CLIP is no part of the state
        tower = text_tower(model)
        words, count = parse_context(context)
        tokens, place, length = _tokens(model, names, words or " ".join("x" * count))
        if count and length != count:
            raise InputError(f"the tokenizer of {model.name} makes no token of one letter")
        self.tokens, self.place = tokens.to(model.device), place
        with torch.no_grad():
            embedded = tower.token_embedding(self.tokens)  # [C, L, W]
        self.register_buffer("embedded", embedded, persistent=False)
        start = embedded[:1, place : place + length].clone()
        if count:
            start.normal_(std=START, generator=generator)
        self.context = nn.Parameter(start.repeat(len(names) if each else 1, 1, 1))  # [1 or C, M, W]
        self.meta = None
        if conditional:
            width, dim = embedded.shape[-1], model.encode_text([names[0]]).shape[-1]
            self.meta = _meta_net(dim, width, generator).to(embedded)

    @property
    def scale(self) -> float:
        """What cosines are multiplied by to give logits."""
        return self._model[0].logit_scale

    def forward(self, images: Tensor) -> Tensor:
        """Return logits, scale × cosine: image embeddings ``[N, D]`` → ``[N, C]``."""
        check_shape("images", images, ["N", "D"])
        if self.meta is None:
            return self.scale * images @ self.embeddings().T
        texts = self.embeddings(images)
        return self.scale * torch.einsum("nd,ncd->nc", images, texts)

    def embeddings(self, images: Tensor | None = None) -> Tensor:
        """Return the embeddings of the prompts, unit length.

        Returns:
            ``[C, D]``; for images ``[N, D]`` and a conditional context ``[N, C, D]``.
        """
        if self.meta is None or images is None:
            return self._encode(self.context, 1)
        contexts = self.context + self.meta(images)[:, None, None]  # [N, 1 or C, M, W]
        contexts = contexts.expand(-1, len(self.tokens), -1, -1).flatten(0, 1)
        return self._encode(contexts, len(images)).unflatten(0, (len(images), -1))

    def _encode(self, contexts: Tensor, times: int) -> Tensor:
        network = self._model[0].network
        before, after = self.place, self.place + contexts.shape[-2]
        rows = self.embedded.repeat(times, 1, 1)
        contexts = contexts.expand(len(rows), -1, -1)
        rows = torch.cat([rows[:, :before], contexts, rows[:, after:]], dim=1)
        tokens = self.tokens.repeat(times, 1)  # say where each text ends
        with cut(network, tokens) as short, _instead(text_tower(self._model[0]), rows):
            return F.normalize(network.encode_text(short), dim=-1)


def text_tower(model: ClipModel) -> Any:
    """Return the module with the token embedding of `model`.

    Raises:
        InputError: it has none, as the towers of transformers have it elsewhere.
    """
    network = model.network
    tower = network.text if hasattr(network, "text") else network
    if not isinstance(getattr(tower, "token_embedding", None), nn.Embedding):
        raise InputError(
            f"learned prompts need one of open_clip's own text towers but {model.name} has "
            f"{type(tower).__name__}; --method linear works with any"
        )
    return tower


def parse_context(context: str) -> tuple[str, int]:
    """Return the words of a context, or "" and the number of random vectors.

    Raises:
        InputError: it is empty or the number is out of range.
    """
    if re.fullmatch(r"[0-9]+", context.strip()):
        count = int(context)
        if not 1 <= count <= MAX_CONTEXT:
            raise InputError(f"the context must be of 1 to {MAX_CONTEXT} vectors but is {count}")
        return "", count
    if not context.strip():
        raise InputError("the context must be words or a number of vectors but is empty")
    return context.strip(), 0


def _tokens(model: ClipModel, names: Sequence[str], words: str) -> tuple[Tensor, int, int]:
    """Tokenize the prompts.

    Returns:
        ``[C, L]`` cut to the longest prompt, and place and number of the tokens of `words`.
    """
    texts = ["", words, *(f"{words} {name}." for name in names)]
    empty, alone, *rows = tokens = model.tokenizer(texts)
    start = int(empty[0] == alone[0])  # most tokenizers put a mark at the beginning
    ends = taken(text_tower(model), tokens)
    if ends is None:  # towers of a vocabulary whose padding is nothing else
        ends = (tokens != padding(model.tokenizer)).sum(1)
    length = int(ends[1] - ends[0])
    for name, text, row in zip(names, texts[2:], rows, strict=True):
        if model.unread(text):
            raise InputError(
                f"the class name {name[:60]!r} does not fit into the {len(row)} tokens that "
                f"{model.name} reads beside a context of {length}"
            )
        if not torch.equal(row[: start + length], alone[: start + length]):
            raise InputError(f"the context {words!r} must end with a whole word")
    return torch.stack(rows), start, length


def _meta_net(dim: int, width: int, generator: torch.Generator | None) -> nn.Module:
    first, last = nn.Linear(dim, max(1, dim // SQUEEZE)), nn.Linear(max(1, dim // SQUEEZE), width)
    with torch.no_grad():
        first.weight.normal_(std=dim**-0.5, generator=generator)
        first.bias.zero_()
        last.weight.zero_()
        last.bias.zero_()
    return nn.Sequential(first, nn.ReLU(), last)


@contextlib.contextmanager
def _instead(tower: Any, rows: Tensor) -> Generator[None]:
    """Let the token embedding of `tower` give `rows` ``[P, L, W]``, whatever the tokens are."""
    handle = tower.token_embedding.register_forward_hook(
        lambda module, given, out: rows[:, : out.shape[1]]
    )
    try:
        yield
    finally:
        handle.remove()
