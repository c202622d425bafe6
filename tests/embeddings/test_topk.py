"""Ranking, uniqueness, duplicates and varied choice, beside brute force."""

import itertools

import pytest
import torch
from tiny_clip import unit

from guidance.embeddings import topk
from guidance.embeddings.topk import duplicates, mmr, top, uniqueness
from guidance.errors import InputError


def sorted_places(vectors, query, k):
    """Return the best by sorting everything, ties (to six decimals) in their order."""
    scores = (vectors.double() @ query.double()).tolist()
    return sorted(range(len(scores)), key=lambda i: (-round(scores[i], 6), i))[:k]


@pytest.fixture
def small_blocks(monkeypatch):
    """Let many blocks meet in small inputs."""
    monkeypatch.setattr(topk, "ROWS", 16)
    monkeypatch.setattr(topk, "SCORES", 16 * 48)


@pytest.mark.parametrize("k", [1, 7, 3000, 5000])
def test_top_is_what_sorting_everything_gives(k):
    vectors, queries = unit(3000, 24), unit(4, 24, seed=1)
    scores, places = top(vectors, queries, k)
    assert scores.shape == places.shape == (4, min(k, 3000))
    for row, query in enumerate(queries):
        assert places[row].tolist() == sorted_places(vectors, query, k)
    assert torch.allclose(scores, (queries @ vectors.T).gather(1, places), atol=1e-6)


def test_top_of_a_stream_is_that_of_the_whole():
    vectors, queries = unit(2500, 24), unit(3, 24, seed=1)
    sizes = [1, 1, 700, 0, 1300, 498]
    scores, places = top(iter(vectors.split(sizes)), queries, 40)
    whole = top(vectors, queries, 40)
    assert torch.equal(places, whole[1])
    assert torch.allclose(scores, whole[0], atol=1e-6)


@pytest.mark.parametrize("sizes", [[4000], [1000] * 4, [1, 2, 3, 3994]])
def test_ties_stay_in_the_order_of_the_stream(sizes):
    three = unit(3, 24)
    vectors = three.repeat_interleave(5, 0).repeat(267, 1)[:4000]
    query = three[1:2] + 0.5 * three[2:3]
    _, places = top(vectors.split(sizes), query, 1500)
    assert places[0].tolist() == sorted_places(vectors, query[0], 1500)


def test_a_difference_in_the_last_bits_is_a_tie():
    vectors = torch.ones(5, 4) / 2
    vectors[3] *= 1 + 2e-7
    assert top(vectors, vectors[:1], 5)[1].tolist() == [[0, 1, 2, 3, 4]]
    vectors[3] *= 1 + 2e-6
    assert top(vectors, vectors[:1], 5)[1].tolist() == [[3, 0, 1, 2, 4]]


def test_top_of_nothing():
    scores, places = top(iter([]), unit(2, 8), 5)
    assert scores.shape == places.shape == (2, 0)


def test_uniqueness_is_one_minus_the_nearest_other(small_blocks):
    vectors = unit(200, 12)
    cosines = vectors @ vectors.T
    cosines.fill_diagonal_(-2)
    assert torch.allclose(uniqueness(vectors), 1 - cosines.max(1).values, atol=1e-6)
    three = 1 - cosines.topk(3, dim=1).values.mean(1)
    assert torch.allclose(uniqueness(vectors, mean_of=3), three, atol=1e-6)


def test_uniqueness_of_few():
    assert uniqueness(unit(1, 8)).tolist() == [1]
    assert uniqueness(unit(0, 8)).tolist() == []
    pair = torch.tensor([[1.0, 0], [0.6, 0.8]])
    assert uniqueness(pair, mean_of=9).tolist() == pytest.approx([0.4, 0.4])
    twice = torch.cat([unit(5, 8), unit(5, 8)])
    assert uniqueness(twice).max() < 1e-6
    assert uniqueness(twice, mean_of=2).min() > 0.01


def brute_groups(vectors, threshold):
    """Return the groups by walking from each vector to all it is linked to."""
    near = (vectors @ vectors.T) >= threshold
    left, groups = set(range(len(vectors))), []
    while left:
        group, edge = set(), [min(left)]
        while edge:
            group.add(place := edge.pop())
            edge += [i for i in near[place].nonzero()[:, 0].tolist() if i not in group]
        left -= group
        groups.append(sorted(group))
    return sorted((g for g in groups if len(g) > 1), key=lambda g: (-len(g), g[0]))


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.8, 0.9, 0.99])
def test_duplicates_are_connected_groups(small_blocks, threshold):
    centres = unit(20, 8).repeat(15, 1)
    noise = 0.35 * torch.randn(300, 8, generator=torch.Generator().manual_seed(3))
    vectors = torch.nn.functional.normalize(centres + noise, dim=-1)
    groups = duplicates(vectors, threshold)
    assert groups == brute_groups(vectors, threshold)
    assert (len(groups) > 3) == (0.7 < threshold < 0.99)


def test_a_chain_is_one_group_whatever_its_order(small_blocks):
    angle = torch.arange(120) * 0.05  # each touches the next alone
    vectors = torch.stack([angle.cos(), angle.sin()], 1)
    shuffled = torch.randperm(120, generator=torch.Generator().manual_seed(0))
    assert duplicates(vectors[shuffled], 0.9985) == [list(range(120))]
    assert duplicates(vectors[shuffled], 0.9995) == []


def test_equal_vectors_are_duplicates_at_threshold_one():
    vectors = unit(40, 512)[[*range(40), 7, 7, 3]]
    assert duplicates(vectors, 1.0) == [[7, 40, 41], [3, 42]]


def test_mmr_maximises_what_the_paper_says():
    vectors, scores = unit(60, 6), torch.rand(60, generator=torch.Generator().manual_seed(1))
    for balance in (0.0, 0.3, 0.7, 1.0):
        chosen = mmr(scores, vectors, 12, balance)
        assert chosen[0] == scores.argmax()
        for n in range(1, 12):
            value = {
                i: balance * scores[i].item()
                - (1 - balance) * max((vectors[i] @ vectors[j]).item() for j in chosen[:n])
                for i in range(60)
                if i not in chosen[:n]
            }
            assert value[chosen[n]] == pytest.approx(max(value.values()), abs=2e-6)
        assert len(set(chosen)) == 12


def test_mmr_takes_one_of_each_kind_before_a_second():
    kinds = torch.eye(4).repeat_interleave(5, 0)
    scores = torch.linspace(1, 0.9, 20)
    assert mmr(scores, kinds, 4, 0.5) == [0, 5, 10, 15]
    assert mmr(scores, kinds, 4, 1.0) == [0, 1, 2, 3]
    assert sorted(mmr(scores, kinds, 99, 0.5)) == list(range(20))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda v: top(v, v[:1], 0), "k must be at least 1"),
        (lambda v: top(v, v[:1, :3], 1), "vectors must have shape"),
        (lambda v: top(v, v[0], 1), "queries must have shape"),
        (lambda v: uniqueness(v[0]), "vectors must have shape"),
        (lambda v: uniqueness(v, 0), "mean_of must be"),
        (lambda v: duplicates(v, 1.5), "threshold must be"),
        (lambda v: mmr(v[:, 0], v, 2, 1.01), "balance must be"),
        (lambda v: mmr(v[:3, 0], v, 2, 0.5), "scores must have shape"),
        (lambda v: mmr(v[:, 0] / 0, v, 2, 0.5), "scores must be finite"),
    ],
)
def test_bad_input_is_named(call, message):
    with pytest.raises(InputError, match=message):
        call(unit(5, 8))


def test_blocks_do_not_change_the_result(monkeypatch):
    vectors = unit(300, 16)
    results = []
    for rows, scores in itertools.product((7, 512), (2048, 1 << 22)):
        monkeypatch.setattr(topk, "ROWS", rows)
        monkeypatch.setattr(topk, "SCORES", scores)
        results.append((uniqueness(vectors, 2), duplicates(vectors, 0.6)))
    for unique, groups in results[1:]:
        assert torch.allclose(unique, results[0][0], atol=1e-6)
        assert groups == results[0][1]
