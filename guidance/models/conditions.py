"""What a diffusion network is told beside the noisy picture: texts → `Condition`.

A condition holds the network's keyword tensors, one row a picture. Conditions of several texts are
mixed by weight, and rows are repeated and joined to a batch, without knowing what they mean.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from guidance.errors import InputError

LONGEST = 77  # tokens, where neither the tokenizer nor the encoder names a limit


@dataclass(frozen=True, eq=False)
class Condition:
    """Keyword tensors of a network, each ``[N, ...]``, one row a picture.

    Raises:
        InputError: tensors of different numbers of rows.
    """

    tensors: dict[str, Tensor]

    def __post_init__(self):
        if len({len(t) for t in self.tensors.values()}) != 1:
            shapes = {k: list(t.shape) for k, t in self.tensors.items()}
            raise InputError(f"the tensors of a condition must have equal rows but are {shapes}")

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def __getitem__(self, rows: slice) -> Condition:
        """Return some of the rows."""
        return Condition({k: t[rows] for k, t in self.tensors.items()})

    def rows(self, n: int) -> Condition:
        """Return `n` rows: these if there are as many, or else the only one repeated.

        Raises:
            InputError: there are several, but not `n`.
        """
        if len(self) not in (1, n):
            raise InputError(
                f"a condition for {n} pictures must have 1 or {n} rows, not {len(self)}"
            )
        return Condition({k: t.expand(n, *t.shape[1:]) for k, t in self.tensors.items()})

    def to(self, device: torch.device | str) -> Condition:
        """Return the condition on `device`."""
        return Condition({k: t.to(device) for k, t in self.tensors.items()})

    @staticmethod
    def mix(conditions: Sequence[Condition], weights: Sequence[float]) -> Condition:
        """Return the weighted mean of conditions of equal shapes; weights need not add up to 1.

        Raises:
            InputError: nothing to mix, weights that are negative or all zero, different tensors.
        """
        if not conditions or len(conditions) != len(weights):
            raise InputError(
                f"mixing needs conditions and as many weights but got {len(conditions)} and "
                f"{len(weights)}"
            )
        total = math.fsum(weights)
        if not (0 < total < math.inf and min(weights) >= 0):
            raise InputError(f"the weights of conditions must be positive but are {list(weights)}")
        _check_alike(conditions, rows=True)
        first, *others = conditions
        if not others:
            return first
        tensors = {}
        for key, tensor in first.tensors.items():
            if not tensor.is_floating_point():
                raise InputError(f"conditions with whole numbers ({key}) cannot be mixed")
            parts = [c.tensors[key] * (w / total) for c, w in zip(conditions, weights, strict=True)]
            tensors[key] = torch.stack(parts).sum(0)
        return Condition(tensors)

    @staticmethod
    def cat(conditions: Sequence[Condition]) -> Condition:
        """Return the rows of all conditions, in order.

        Raises:
            InputError: nothing to join, or different tensors.
        """
        if not conditions:
            raise InputError("there are no conditions to join")
        _check_alike(conditions, rows=False)
        keys = conditions[0].tensors
        return Condition({k: torch.cat([c.tensors[k] for c in conditions]) for k in keys})


def _check_alike(conditions: Sequence[Condition], rows: bool) -> None:
    def shapes(condition: Condition) -> dict[str, list[int]]:
        return {k: list(t.shape)[0 if rows else 1 :] for k, t in condition.tensors.items()}

    first = shapes(conditions[0])
    for other in conditions[1:]:
        if shapes(other) != first:
            raise InputError(f"conditions must be alike but are {first} and {shapes(other)}")


class TextReader(nn.Module):
    """Texts → conditions of a network: the contract. Its weights are frozen."""

    def __init__(self) -> None:
        super().__init__()
        self.device = torch.device("cpu")  # where it computes

    def read(self, texts: Sequence[str]) -> list[Condition]:
        """Return a condition of one row for each text."""
        raise NotImplementedError

    def empty(self) -> Condition:
        """Return the condition of no text, as classifier-free guidance has been trained with."""
        return self.read([""])[0]


class PromptReader(TextReader):
    """The text encoders of a Stable Diffusion or latent diffusion pipeline.

    Args:
        encoders: text encoders of transformers (CLIP) or of diffusers (LDM's BERT).
        tokenizers: of transformers, one for each encoder.
        name: of the pipeline, shown to people.
        pooled: as Stable Diffusion XL does: the last but one layer of every encoder, side by side,
            and the pooled embedding of the last encoder. Otherwise the end of the only encoder.
        zeros: the condition of no text is zeros rather than that of an empty text.
    """

    def __init__(
        self,
        encoders: Sequence[nn.Module],
        tokenizers: Sequence[Any],
        *,
        name: str,
        pooled: bool = False,
        zeros: bool = False,
    ):
        super().__init__()
        self.encoders = nn.ModuleList(encoders).requires_grad_(False).eval()
        self.tokenizers = tuple(tokenizers)
        self.name, self.pooled, self.zeros = name, pooled, zeros

    @torch.no_grad()
    def read(self, texts: Sequence[str]) -> list[Condition]:
        """Return a condition of one row for each text.

        Warns when a text is longer than an encoder reads, and says which words were cut.

        Returns:
            Conditions with ``encoder_hidden_states [1, L, D]`` and, if pooled,
            ``text_embeds [1, E]``.
        """
        if isinstance(texts, str) or not all(isinstance(t, str) for t in texts):
            raise InputError("texts must be a list of strings")
        self._warn_if_cut(texts)
        # one by one, so that no condition depends on the other texts, not even in its last digit
        return [self._read(text) for text in texts]

    def empty(self) -> Condition:
        """Return the condition of no text: of an empty one, or zeros."""
        condition = super().empty()
        if not self.zeros:
            return condition
        return Condition({k: torch.zeros_like(t) for k, t in condition.tensors.items()})

    def _read(self, text: str) -> Condition:
        hidden, tensors = [], {}
        for encoder, tokenizer in zip(self.encoders, self.tokenizers, strict=True):
            tokens = tokenizer(
                text,
                padding="max_length",
                max_length=_limit(encoder, tokenizer),
                truncation=True,
                return_tensors="pt",
            )
            # a model of transformers says so if it was trained without a look at the padding
            masked = getattr(encoder.config, "use_attention_mask", False)
            mask = {"attention_mask": tokens["attention_mask"].to(self.device)} if masked else {}
            options = {"output_hidden_states": True} if self.pooled else {}
            out = encoder(tokens["input_ids"].to(self.device), **mask, **options)
            hidden.append(out.hidden_states[-2] if self.pooled else out[0])
            if self.pooled and out[0].ndim == 2:
                tensors["text_embeds"] = out[0].float()
        tensors["encoder_hidden_states"] = torch.cat(hidden, dim=-1).float()
        return Condition(tensors)

    def _warn_if_cut(self, texts: Sequence[str]) -> None:
        tokenizer, limit = self.tokenizers[0], _limit(self.encoders[0], self.tokenizers[0])
        for text in texts:
            ids = tokenizer(text, verbose=False)["input_ids"]
            if len(ids) > limit:
                cut = tokenizer.decode(ids[limit - 1 : -1])
                shown = cut if len(cut) <= 100 else cut[:100] + " …"
                warnings.warn(
                    f"the prompt is longer than the {limit} tokens {self.name} reads; its end is "
                    f"ignored: {shown!r}",
                    stacklevel=3,
                )


def _limit(encoder: nn.Module, tokenizer: Any) -> int:
    """Return the number of tokens that an encoder reads."""
    limit = getattr(encoder.config, "max_position_embeddings", LONGEST)
    return min(limit, tokenizer.model_max_length)  # that is 1e30 where it is not given
