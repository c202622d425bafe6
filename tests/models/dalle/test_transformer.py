"""The transformer of codes against a slow dense reference, and its memory against none."""

from __future__ import annotations

import pytest
import torch
from reference.slow_dalle import slow_logits, visible
from tiny_dalle import sentences, tiny_config, tiny_network

from guidance.errors import InputError
from guidance.models.dalle.attention import picture_mask, sentence_mask
from guidance.models.dalle.config import KINDS
from guidance.models.dalle.transformer import Transformer

GRIDS = [{"rows": 4, "columns": 4}, {"rows": 2, "columns": 5, "kernel": 5}]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("grid", GRIDS)
def test_masks_are_those_of_the_rule(kind, grid):
    network = tiny_network(attention=[kind], **grid)
    mask = sentence_mask(network.config, kind)
    assert [row.nonzero().flatten().tolist() for row in mask] == visible(network, kind)


def test_masks_of_the_paper_s_figure():
    row = picture_mask("row", 4, 4)
    assert row[9].nonzero().flatten().tolist() == [5, 6, 7, 8, 9], "five with itself"
    column = picture_mask("column", 4, 4)
    assert column[9].nonzero().flatten().tolist() == [1, 5, 9]
    square = picture_mask("convolutional", 4, 4, 3)
    assert square[9].nonzero().flatten().tolist() == [4, 5, 6, 8, 9]
    assert square[8].nonzero().flatten().tolist() == [3, 4, 5, 7, 8], "it goes on at the border"
    with pytest.raises(InputError, match="unknown attention 'diagonal'"):
        picture_mask("diagonal", 4, 4)


@pytest.mark.parametrize("layers", [[kind] for kind in KINDS] + [list(KINDS)], ids=str)
def test_values_and_gradients_are_those_of_the_reference(layers):
    network = tiny_network(attention=layers, rows=3, columns=4, codes=12).double()
    vector, codes = sentences(network, 2)
    vector.requires_grad_()
    weights = [vector, *network.parameters()]
    weight = torch.randn(2, 12, 12, dtype=torch.float64)
    made, wanted = network(vector, codes), slow_logits(network, vector, codes)
    torch.testing.assert_close(made, wanted, rtol=1e-9, atol=1e-9)
    own = torch.autograd.grad((made * weight).sum(), weights)
    slow = torch.autograd.grad((wanted * weight).sum(), weights)
    for found, expected in zip(own, slow, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-9)


@pytest.mark.parametrize("kind", KINDS)
def test_with_a_memory_logits_are_those_without(kind):
    network = tiny_network(attention=[kind, "full", kind]).double()
    vector, codes = sentences(network, 3)
    whole = network(vector, codes)
    memories = network.memories(3)
    found = [network.step(network.tell(vector), memories)]
    for place in range(network.config.positions - 1):
        x = network.enter_codes(codes[:, place : place + 1], place)
        found.append(network.step(x, memories))
    torch.testing.assert_close(torch.stack(found, 1), whole, rtol=1e-10, atol=1e-10)
    # several positions at once, after others
    memories = network.memories(3)
    network.step(network.tell(vector), memories)
    network.step(network.enter_codes(codes[:, :2], 0), memories)
    after = network.step(network.enter_codes(codes[:, 2:7], 2), memories)
    torch.testing.assert_close(after, whole[:, 7], rtol=1e-10, atol=1e-10)


def test_nothing_is_seen_of_what_comes_later():
    network = tiny_network(attention=list(KINDS)).double()
    vector, codes = sentences(network, 1)
    other = codes.clone()
    other[:, 9] = (codes[:, 9] + 1) % network.config.codes
    before, after = network(vector, codes), network(vector, other)
    assert torch.equal(before[:, :10], after[:, :10])
    assert not torch.equal(before[:, 10], after[:, 10])


def test_codes_that_paint_alike_start_out_alike(generator):
    vectors = torch.randn(32, 3, generator=generator)
    vectors[1] = vectors[0] + 0.01
    torch.manual_seed(0)
    network = Transformer(tiny_config(code_width=256))
    network.take_codebook(vectors)
    table = network.table.detach()
    norms = table.norm(dim=1)
    assert (norms - 1).abs().max() < 0.3
    near = table @ table.T
    distances = torch.cdist(vectors, vectors) / vectors.std(0).mean()
    wanted = torch.exp(-(distances**2) / (2 * 0.5**2))
    assert near[0, 1] > 0.8
    assert (near - wanted).abs().mean() < 0.08
    with pytest.raises(InputError, match=r"vectors must have shape \[32, C\]"):
        network.take_codebook(vectors[:5])


@pytest.mark.parametrize(
    ("more", "message"),
    [({"heads": 3}, "heads must divide the width of 16 but there are 3"),
     ({"kernel": 4}, "kernel must be odd but is 4"),
     ({"attention": ["rows"]}, "unknown attention 'rows'"),
     ({"attention": []}, "attention must name 1 to 256 layers but names 0"),
     ({"codes": 1}, "codes must be")],
)  # fmt: skip
def test_configs_are_checked(more, message):
    with pytest.raises(InputError, match=message):
        tiny_config(**more)


def test_shapes_are_checked():
    network = tiny_network()
    vector, codes = sentences(network, 2)
    with pytest.raises(InputError, match=r"codes must have shape \[2, 16\] but has \[2, 15\]"):
        network(vector, codes[:, 1:])
    with pytest.raises(InputError, match=r"vector must have shape \[N, 64\]"):
        network(vector[:, 1:], codes)
