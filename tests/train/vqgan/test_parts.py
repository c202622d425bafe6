"""The codebook and the judge of a VQGAN's training."""

import pytest
import torch

from guidance.train.losses import hinge
from guidance.train.vqgan.codebook import Codebook, perplexity
from guidance.train.vqgan.judge import PatchJudge


def test_codes_become_the_means_of_their_vectors(generator):
    middles = torch.tensor([[0.0, 0], [10, 0], [0, 10], [10, 10]])
    book = Codebook(4, 2, decay=0.5)
    book.start(middles, generator)
    book.codes.copy_(middles + 1)
    for _ in range(30):
        vectors = middles.repeat(50, 1) + 0.1 * torch.randn(200, 2, generator=generator)
        numbers = book(vectors[:, :, None, None])[:, 0, 0]
        assert book.update(vectors, numbers, generator) == 0
    torch.testing.assert_close(book.codes, middles, atol=0.05, rtol=0)


def test_idle_codes_move_to_where_vectors_are(generator):
    book = Codebook(8, 2, decay=0.5)
    book.start(torch.full((5, 2), 100.0), generator)
    vectors = torch.randn(64, 2, generator=generator)
    moved = 0
    for _ in range(12):
        moved += book.update(vectors, book(vectors[:, :, None, None])[:, 0, 0], generator)
    assert moved >= 7
    assert book.codes.abs().max() < 10
    assert perplexity(book(vectors[:, :, None, None]), 8) > 4


def test_look_up_gives_the_code_of_each_place(generator):
    book = Codebook(16, 3)
    book.start(torch.randn(40, 3, generator=generator), generator)
    numbers = torch.randint(16, (2, 4, 5), generator=generator)
    z = book.look_up(numbers)
    assert z.shape == (2, 3, 4, 5)
    torch.testing.assert_close(z[1, :, 2, 3], book.codes[numbers[1, 2, 3]])
    assert torch.equal(book(z), numbers)


def test_perplexity_counts_codes():
    assert perplexity(torch.arange(10).repeat(3), 64) == pytest.approx(10)
    assert perplexity(torch.zeros(9, dtype=torch.long), 64) == pytest.approx(1)


def test_the_judge_sees_34_pixels():
    judge = PatchJudge(8).eval()
    x = torch.zeros(1, 3, 96, 96, requires_grad=True)
    out = judge(x)
    out[0, 0, out.shape[2] // 2, out.shape[3] // 2].backward()
    seen = x.grad[0].abs().sum(0).nonzero()
    assert (seen.max(0).values - seen.min(0).values + 1).tolist() == [34, 34]


def test_hinge():
    assert hinge(torch.tensor([2.0]), torch.tensor([-3.0])) == 0
    assert hinge(torch.tensor([0.0]), torch.tensor([0.5])) == pytest.approx(1.25)
