"""Unit vectors ``[N, D]`` → the best, the most unusual, the duplicates, a varied choice.

Everything is computed block by block on the device of the vectors, so that nothing of ``[N, N]``
is ever held, and `top` reads any stream of vectors in bounded memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor

from guidance.conventions import check_count, check_range, check_shape
from guidance.errors import InputError

if TYPE_CHECKING:
    from guidance.embeddings.store import EmbeddingStore

SCORES = 1 << 22  # of one block, so 16 MB in float32
BATCH = 8192  # images of a store that are read at once
ROWS = 512  # of a block of all-to-all comparisons
ROUNDING = 1e-6  # the last bits of a score depend on a vector's place in its block


class Block(Protocol):
    """Anything that carries ``vectors`` ``[n, D]``, such as the batches of a store."""

    vectors: Tensor


class Best:
    """The `k` best of a stream, for each of P queries ``[P, D]``.

    Attributes:
        scores: ``[P, m]``, best first; m is `k`, or the number of vectors seen if that is less.
        places: ``[P, m]`` int64, from 0 in the order of the stream.
        seen: number of vectors so far.
    """

    def __init__(self, queries: Tensor, k: int):
        check_shape("queries", queries, ["P", "D"])
        check_count("k", k, 1)
        self.queries = queries
        self.k = k
        self.scores = queries.new_empty(len(queries), 0)
        self.places = torch.empty(len(queries), 0, dtype=torch.int64, device=queries.device)
        self.seen = 0

    def update(self, vectors: Tensor) -> None:
        """Take the next vectors ``[n, D]`` of the stream into account."""
        check_shape("vectors", vectors, ["N", self.queries.shape[1]])
        rows = max(1024, SCORES // max(1, len(self.queries)))
        for part in vectors.split(rows):
            scores = self.queries @ part.to(self.queries).T  # [P, n]
            chosen = _best(scores, self.k)
            # those found before come first, so that a stable sort leaves ties in their order
            self.scores = torch.cat([self.scores, scores.gather(1, chosen)], dim=1)
            self.places = torch.cat([self.places, chosen + self.seen], dim=1)
            order = _descending(self.scores)[:, : self.k]
            self.scores = self.scores.gather(1, order)
            self.places = self.places.gather(1, order)
            self.seen += len(part)


def top(
    vectors: Tensor | Iterable[Tensor | Block], queries: Tensor, k: int
) -> tuple[Tensor, Tensor]:
    """Return the `k` vectors nearest to each query, best first.

    Args:
        vectors: ``[N, D]`` of unit length, or an iterable of such blocks, or of objects with
            such ``vectors`` (`EmbeddingStore.batches`); read once, a block at a time.
        queries: ``[P, D]``; they decide device and dtype.
        k: how many; all if there are fewer.

    Returns:
        Scores ``[P, k]`` and places ``[P, k]`` (int64, from 0 in the order of the stream). Scores
        that agree to six decimals are ties, which stay in the order of the stream.

    Raises:
        InputError: shapes do not fit, or `k` is less than 1.
    """
    best = Best(queries, k)
    for block in [vectors] if isinstance(vectors, Tensor) else vectors:
        best.update(block if isinstance(block, Tensor) else block.vectors)
    return best.scores, best.places


def search(
    store: EmbeddingStore, queries: Tensor, k: int
) -> tuple[Tensor, list[list[tuple[bytes, str]]]]:
    """Return the `k` images of a store nearest to each query, best first.

    Returns:
        Scores ``[P, k]``, and for each query the content key and the source of those images.

    Raises:
        InputError: shapes do not fit, or `k` is less than 1.
    """
    best = Best(queries, k)
    known: dict[int, tuple[bytes, str]] = {}
    for batch in store.batches(BATCH):
        first = best.seen
        best.update(batch.vectors)
        names = {}
        for place in best.places.unique().tolist():
            new = place - first
            names[place] = known[place] if new < 0 else (batch.keys[new], batch.sources[new])
        known = names
    return best.scores, [[known[place] for place in row] for row in best.places.tolist()]


def uniqueness(vectors: Tensor, mean_of: int = 1) -> Tensor:
    """Return how unlike all others each vector is: 1 - its highest cosine to another.

    Args:
        vectors: ``[N, D]`` of unit length.
        mean_of: take the mean of that many highest cosines (of all others if there are fewer);
            more than 1 finds what stands alone even if it is there twice.

    Returns:
        ``[N]`` in [0, 2]: 0 for a duplicate. 1 for a vector that is alone. Time grows with N².

    Raises:
        InputError: a wrong shape, or `mean_of` is less than 1.
    """
    check_shape("vectors", vectors, ["N", "D"])
    check_count("mean_of", mean_of, 1)
    count = min(mean_of, len(vectors) - 1)
    if count < 1:
        return vectors.new_ones(len(vectors))
    result = []
    for start, rows in _blocks(vectors, ROWS):
        best = vectors.new_full((len(rows), count), -torch.inf)
        for column, others in _blocks(vectors, SCORES // ROWS):
            cosines = rows @ others.T
            own = torch.arange(start, start + len(rows), device=vectors.device) - column
            inside = (own >= 0) & (own < len(others))
            cosines[inside.nonzero()[:, 0], own[inside]] = -torch.inf
            found = cosines.topk(min(count, len(others)), dim=1).values
            best = torch.cat([best, found], dim=1).topk(count, dim=1).values
        result.append(1 - best.mean(dim=1))
    return torch.cat(result).clamp(0, 2)


def duplicates(vectors: Tensor, threshold: float) -> list[list[int]]:
    """Return groups of vectors that are linked by cosines of at least `threshold`.

    A group is a connected component: two of its members need not be alike themselves if others
    between them are. Cosines a millionth below the threshold count, as 1 is reached by rounding.

    Args:
        vectors: ``[N, D]`` of unit length.
        threshold: in [-1, 1]; 0.95 finds near-duplicates with most CLIP models.

    Returns:
        Groups of two or more places, largest first, equally large ones by their first place;
        the places of a group ascend. Time grows with N².

    Raises:
        InputError: a wrong shape, or `threshold` is outside its range.
    """
    check_shape("vectors", vectors, ["N", "D"])
    check_range("threshold", threshold, -1, 1)
    label = torch.arange(len(vectors), device=vectors.device)
    for start, rows in _blocks(vectors, ROWS):
        for column, others in _blocks(vectors[start:], SCORES // ROWS):
            near = (rows @ others.T >= threshold - ROUNDING).nonzero()  # [edges, 2]
            label = _unite(label, near[:, 0] + start, near[:, 1] + start + column)
    groups: dict[int, list[int]] = {}
    for place, group in enumerate(label.tolist()):
        groups.setdefault(group, []).append(place)
    return sorted((g for g in groups.values() if len(g) > 1), key=lambda g: (-len(g), g[0]))


def mmr(scores: Tensor, vectors: Tensor, k: int, balance: float) -> list[int]:
    """Choose `k` vectors that score high and differ from each other, one after the other.

    Maximal marginal relevance (Carbonell & Goldstein 1998, section 2): the best comes first, and
    the next is always the one with the highest ``balance * score - (1 - balance) * c``, c being
    its highest cosine to those already chosen. Takes O(k N D).

    Args:
        scores: ``[N]``, on the scale of a cosine.
        vectors: ``[N, D]`` of unit length.
        k: how many; all if there are fewer.
        balance: in [0, 1]; 1 asks for the score alone, 0 for difference alone.

    Returns:
        Places in the order of the choice; ties go to the first place.

    Raises:
        InputError: shapes do not fit, or an argument is outside its range.
    """
    check_shape("vectors", vectors, ["N", "D"])
    check_shape("scores", scores, [len(vectors)])
    check_count("k", k, 1)
    check_range("balance", balance, 0, 1)
    if not scores.isfinite().all():
        raise InputError("scores must be finite")
    relevance = scores.cpu().double()  # which not every device has
    closest = torch.full_like(relevance, -torch.inf)
    value = relevance.clone()
    chosen: list[int] = []
    for _ in range(min(k, len(vectors))):
        place = int(_rounded(value).argmax())
        chosen.append(place)
        closest = closest.maximum((vectors @ vectors[place]).cpu().double())
        value = balance * relevance - (1 - balance) * closest
        value[chosen] = -torch.inf
    return chosen


def _blocks(vectors: Tensor, size: int) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(vectors), size):
        yield start, vectors[start : start + size]


def _rounded(scores: Tensor) -> Tensor:
    return (scores / ROUNDING).round()


def _descending(scores: Tensor) -> Tensor:
    """Return the order of each row of ``[P, n]``, best first; ties keep their order."""
    return _rounded(scores).sort(dim=1, descending=True, stable=True).indices


def _best(scores: Tensor, k: int) -> Tensor:
    """Return the places of the `k` best of each row of ``[P, n]``, ascending; ties: the first."""
    rounded = _rounded(scores)
    if k >= rounded.shape[1]:
        return torch.arange(rounded.shape[1], device=scores.device).expand(len(scores), -1)
    values, places = rounded.topk(k, dim=1)
    least = values[:, -1:]
    # `topk` takes any of several that equal the last: those rows are done with care
    tied = ((rounded >= least).sum(dim=1) > k).nonzero()[:, 0]
    for row in tied.tolist():
        better = (rounded[row] > least[row]).nonzero()[:, 0]
        equal = (rounded[row] == least[row]).nonzero()[: k - len(better), 0]
        places[row] = torch.cat([better, equal])
    return places.sort(dim=1).values


def _unite(label: Tensor, one: Tensor, other: Tensor) -> Tensor:
    """Join the components of ``label`` ``[N]`` that edges ``[E]`` link; labels are least places.

    Each round hangs the larger root of every edge under the smallest it is linked to, then
    shortens all paths, as parallel union-find does (Shiloach & Vishkin 1982).
    """
    while True:
        a, b = label[one], label[other]
        differ = a != b
        if not differ.any():
            return label
        one, other, a, b = one[differ], other[differ], a[differ], b[differ]
        label = label.scatter_reduce(0, a.maximum(b), a.minimum(b), "amin")
        while not torch.equal(shorter := label[label], label):
            label = shorter
