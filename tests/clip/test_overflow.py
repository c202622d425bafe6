"""What does not fit into the tokens of a model is told, with every kind of tokenizer."""

import random
import warnings

import pytest
import torch
from tiny_texts import LENGTH, text_model

LETTERS = {"clipa": LENGTH - 2, "siglip": LENGTH - 1, "siglip2": LENGTH - 1,
           "worldwide": LENGTH - 2, "roberta": LENGTH - 2}  # fmt: skip


@pytest.mark.parametrize("kind", LETTERS)
def test_a_text_over_the_context_is_told_and_one_that_fits_is_not(kind, tmp_path):
    model = text_model(kind, tmp_path)
    fits = "a " + "b" * (LETTERS[kind] - 2)  # tokens are letters
    for text in ("", "a", fits[:-2], fits[:-1], fits):
        assert model.unread(text) == "", text
    assert model.unread(fits + "c") == "its last word is ignored: 'c'"
    assert model.unread(fits + " car boat") == "its last 2 words are ignored: 'car boat'"
    with pytest.warns(UserWarning, match=f"longer than the 20 tokens {kind} reads; its last word"):
        model.encode_text([fits + " car"])


@pytest.mark.parametrize("kind", ["clip", "custom", "coca"])
def test_words_over_the_context_of_clips_own_tokenizer(kind, tmp_path):
    model = text_model(kind, tmp_path)
    fits = " ".join(["fox"] * (LENGTH - 2))
    assert model.unread(fits) == ""
    assert model.unread(fits + " boat") == "its last word is ignored: 'boat'"
    if kind == "custom":  # which leaves punctuation out
        assert model.unread(fits + " !!!") == ""
    else:
        ends = '!"' * LENGTH  # tokens of 0, which are no padding
        assert "its last" in model.unread(f"a fox {ends}")


def test_a_reduced_text_is_the_same_each_time_and_told(tmp_path):
    model = text_model("reduced", tmp_path)
    long = " ".join(f"fox{n} in snow" for n in range(12))
    with pytest.warns(UserWarning, match="longer than the 20 tokens reduced reads; some of its"):
        first = model.encode_text([long])
    model._texts.clear()
    random.seed(5)
    torch.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        again = model.encode_text(["a fox", long])[1:]
    torch.testing.assert_close(first, again, atol=1e-5, rtol=0)
    draw, number = random.random(), torch.rand(1)
    random.seed(5)
    torch.manual_seed(5)
    assert (draw, number) == (random.random(), torch.rand(1)), "the global generators moved"
