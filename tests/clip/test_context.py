"""Short texts without padding give the same embeddings and gradients."""

import open_clip
import pytest
import torch

from guidance.clip.context import cut

TEXTS = ["a fox", "a very long story about a fox in the snow and an owl"]
TEXT = {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2}
VISION = {"image_size": 32, "layers": 1, "width": 64, "patch_size": 16}


def network(kind, **text):
    torch.manual_seed(0)
    made = kind(embed_dim=16, vision_cfg=VISION, text_cfg={**TEXT, **text})
    tower = getattr(made, "text", made)
    torch.nn.init.normal_(tower.positional_embedding)
    return made


@pytest.mark.parametrize("kind", [open_clip.CLIP, open_clip.CustomTextCLIP])
def test_same_embeddings_and_gradients(kind):
    made, tokens = network(kind), open_clip.SimpleTokenizer()(TEXTS)
    tower = getattr(made, "text", made)
    full = made.encode_text(tokens)
    full.square().sum().backward()
    expected = tower.positional_embedding.grad.clone()
    made.zero_grad()
    with cut(made, tokens) as short:
        assert short.shape[1] < 20
        got = made.encode_text(short)
        got.square().sum().backward()
    torch.testing.assert_close(got, full)
    torch.testing.assert_close(tower.positional_embedding.grad, expected)
    torch.testing.assert_close(made.encode_text(tokens), full)  # as it was before
    assert len(list(made.parameters())) == len(list(network(kind).parameters()))


@pytest.mark.parametrize("text", ["a fox!🦊", '"a fox!",', "狐狸!。", "!!", "a!🦊 b!🦊"])
def test_an_exclamation_mark_is_no_padding(text):
    made, tokenizer = network(open_clip.CLIP), open_clip.SimpleTokenizer()
    full = made.encode_text(tokenizer([text, "a fox"]))
    for batch in ([text], [text, "a fox"]):
        with cut(made, tokenizer(batch)) as short:
            torch.testing.assert_close(made.encode_text(short), full[: len(batch)])


def test_a_tower_that_names_its_end_mark_is_cut_there():
    made = network(open_clip.CLIP, pool_type="eos", eos_id=7)
    tokens = torch.tensor([[1, 0, 9, 7, 0, 0, 0], [1, 2, 7, 0, 0, 0, 0]])
    tokens = torch.nn.functional.pad(tokens, (0, 70))
    full = made.encode_text(tokens)
    with cut(made, tokens) as short:
        assert short.shape[1] == 4
        torch.testing.assert_close(made.encode_text(short), full)


def test_towers_that_see_everything_are_left_alone():
    made = network(open_clip.CustomTextCLIP, no_causal_mask=True)
    tokens = open_clip.SimpleTokenizer()(TEXTS)
    with cut(made, tokens) as same:
        assert same is tokens
