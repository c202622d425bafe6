"""DALL·E mini: against the network written out, with and without a memory."""

import pytest
import torch
from min_dalle_files import CODES, MERGES, detoker, random_half, shapes, vocabulary, write
from reference import slow_min_dalle, taming_decoder

from guidance.errors import InputError
from guidance.models.min_dalle.detokeniser import load_detokeniser
from guidance.models.min_dalle.load import load_min_dalle
from guidance.models.min_dalle.network import Decoder, Encoder, Sizes
from guidance.models.writer import write_given

PROMPTS = ["a fox at sunrise", "", "Fox & fox", "a fox at sunrise"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """Return a tiny writer, its codec and the states of its files."""
    folder = tmp_path_factory.mktemp("mini")
    states = write(folder)
    return *load_min_dalle(str(folder), device="cpu"), states


def slowly(states, prompt: str, codes: list[int]) -> torch.Tensor:
    numbers = slow_min_dalle.subwords(prompt, vocabulary(), list(MERGES))[:12]
    text = slow_min_dalle.encode(states["encoder"], numbers)
    return slow_min_dalle.logits(states["decoder"], text, numbers, codes)[:CODES]


def test_each_step_is_as_the_network_written_out(model, generator):
    writer, codec, states = model
    assert (writer.grid, writer.codes, codec.codes, codec.factor) == ((4, 4), CODES, CODES, 4)
    codes = torch.randint(CODES, (len(PROMPTS), 5), generator=generator)
    writing = writer.begin(PROMPTS)
    for step in range(6):
        got = writing.next(codes[:, step - 1] if step else None)
        assert (got.shape, got.dtype) == ((len(PROMPTS), CODES), torch.float32)
        want = [slowly(states, p, c[:step].tolist()) for p, c in zip(PROMPTS, codes, strict=True)]
        torch.testing.assert_close(got, torch.stack(want), rtol=1e-4, atol=1e-4)
    assert got.std(0).max() > 0.1, "prompts and codes make a difference"


def test_norms_with_a_scale_are_read_too(tmp_path):
    changes = {half: random_half(half, 5, scaled=True) for half in ("encoder", "decoder")}
    states = write(tmp_path, **changes)
    writer, _ = load_min_dalle(str(tmp_path), device="cpu")
    got = write_given(writer.begin(["a fox"]), torch.tensor([[3, 1]]))[0]
    torch.testing.assert_close(got, slowly(states, "a fox", [3, 1]), rtol=1e-4, atol=1e-4)


def test_half_precision_is_near(model, tmp_path):
    writer, _, states = model
    write(tmp_path, **states)
    coarse, codec = load_min_dalle(str(tmp_path), device="cpu", precision="bf16")
    assert coarse.decoder.lm_head.weight.dtype == torch.bfloat16
    fine, rough = (write_given(w.begin(["a fox"]), torch.tensor([[3]])) for w in (writer, coarse))
    assert rough.dtype == torch.float32
    assert 0 < (fine - rough).abs().max() < 0.3
    assert codec.decode(torch.zeros(1, 4, 4, dtype=torch.int64)).dtype == torch.float32


def test_pictures_are_kept_in_any_order(model):
    writer, _, _ = model
    whole = writer.begin(PROMPTS)
    codes = torch.tensor([1, 2, 3, 4])
    whole.next(None)
    whole.next(codes)
    part = writer.begin(PROMPTS)
    part.next(None)
    part.next(codes)
    rows = torch.tensor([2, 0, 2])
    part.keep(rows)
    torch.testing.assert_close(part.next(codes[rows]), whole.next(codes)[rows])


def test_a_batch_is_as_each_alone(model):
    writer, _, _ = model
    given = torch.tensor([[1, 5], [7, 2], [0, 9], [1, 5]])
    together = write_given(writer.begin(PROMPTS), given)
    for i, prompt in enumerate(PROMPTS):
        alone = write_given(writer.begin([prompt]), given[i : i + 1])
        torch.testing.assert_close(together[i], alone[0], rtol=1e-4, atol=1e-5)


def test_what_a_writing_refuses(model):
    writer, _, _ = model
    with pytest.raises(InputError, match="at least one text"):
        writer.begin([])
    with pytest.raises(InputError, match="next takes no codes at the beginning"):
        writer.begin(["a"]).next(torch.tensor([1]))
    writing = writer.begin(["a"])
    writing.next(None)
    with pytest.raises(InputError, match="next takes the codes that were chosen"):
        writing.next(None)
    for _ in range(15):
        writing.next(torch.tensor([1]))
    with pytest.raises(InputError, match="pictures of 16 codes are complete"):
        writing.next(torch.tensor([1]))


def test_memory_is_that_of_the_caches(model):
    writer, _, _ = model
    # 2 layers of keys and values, 16 + 12 places, 128 channels, float32; logits of 32 rows
    assert writer.memory(3) == 3 * (2 * 2 * (16 + 12) * 128 * 4 + 4 * 8 * 32)


def test_the_detokeniser_is_the_vqgan_written_out(tmp_path, generator):
    state = detoker()
    torch.save(state, tmp_path / "detoker.pt")
    codec = load_detokeniser(tmp_path / "detoker.pt", device="cpu")
    codes = torch.randint(CODES, (2, 3, 4), generator=generator)
    pixels = taming_decoder.decode(state, state["embedding.weight"][codes].movedim(-1, 1))
    assert pixels.min() < 0 < 1 < pixels.max(), "so that clamping is seen"
    torch.testing.assert_close(codec.decode(codes), pixels.clamp(0, 1), rtol=1e-4, atol=1e-4)
    with pytest.raises(InputError, match=r"detoker.pt paints codes and reads no pictures"):
        codec.encode(torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    ("text", "codes", "width", "gated", "layers", "heads"),
    [(50264, 16385, 1024, 2730, 12, 16), (50272, 16416, 2048, 4096, 24, 32)],
    ids=["mini", "mega"],
)
def test_the_published_names_and_shapes(text, codes, width, gated, layers, heads):
    for half, kind, rows, places in (
        ("encoder", Encoder, text, 64),
        ("decoder", Decoder, codes, 256),
    ):
        sizes = Sizes(rows, places, width, gated, layers)
        assert sizes.heads == heads
        with torch.device("meta"):
            own = {k: tuple(v.shape) for k, v in kind(sizes).state_dict().items()}
        assert own == shapes(half, rows, places, width, gated, layers)
