"""Writing pictures with a tiny model: batches, memory, what is given, and known odds."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from tiny_dalle import write_model

from guidance.dalle.chances import Chances, draw
from guidance.dalle.generator import Plan, Sampling
from guidance.dalle.known import OPEN, Source
from guidance.dalle.memory import check_memory, free_memory
from guidance.dalle.told import tell
from guidance.errors import DivergedError, InputError
from guidance.models.dalle.load import Dalle, load_dalle
from guidance.prompts.grammar import parse_prompts


def make(dalle: Dalle, *, number: int = 4, batch: int = 4, steps: int = 4, **more) -> Sampling:
    """Return a run; `more` are a prompt, a cfg, chances and known codes."""
    told = tell(parse_prompts(more.get("prompt", "a fox")), more.get("cfg", 2.0))
    plan = Plan(tuple(range(number)), batch, steps, more.get("chances", Chances()))
    return Sampling(dalle, plan, told, more.get("known"))


def write(made: Sampling, first: int = 0, last: int | None = None) -> list[torch.Tensor]:
    """Make the steps `first` … of a run; return what was scored."""
    scored: list[torch.Tensor] = []
    for index in range(first, made.total if last is None else last):
        made.prepare(index, made.total)
        made.step(lambda images: scored.append(images) or torch.zeros(()))
    return scored


def slow_codes(made: Sampling, seed: int) -> list[int]:
    """Return the codes of a picture without a memory, the whole network for every code."""
    writer, codes = made.dalle.writer, torch.zeros(1, 16, dtype=torch.int64)
    generator = made._uniform(seed)
    for place in range(16):
        rows = []
        for text in made.told.texts:
            read = writer.reader.read([text])[0] if text else writer.reader.empty()
            rows.append(writer.network(read.tensors["class_labels"], codes)[:, place])
        chances = made.plan.chances.of(made.told.mix(torch.cat(rows)))
        codes[:, place] = draw(chances, generator[place : place + 1])
    return codes[0].tolist()


def test_codes_are_those_without_a_memory(dalle):
    made = make(dalle, number=2, chances=Chances(0.9, 12, 0.95))
    write(made)
    assert made.codes.tolist() == [slow_codes(made, seed) for seed in (0, 1)]


def test_a_picture_follows_from_its_seed_in_any_batch(dalle):
    whole = make(dalle, number=5, batch=5)
    write(whole)
    assert len({tuple(row) for row in whole.codes.tolist()}) == 5
    for batch, steps in ((1, 16), (2, 3), (4, 1), (99, 2)):
        other = make(dalle, number=5, batch=batch, steps=steps)
        write(other)
        assert torch.equal(other.codes, whole.codes), batch
        torch.testing.assert_close(other.image(), whole.image())


def test_steps_show_the_picture_so_far_and_score_what_is_whole(dalle):
    made = make(dalle, number=3, batch=2)
    assert (made.image() == 0.5).all()
    assert write(made, 0, 3) == []
    image = made.image()
    assert image.shape == (3, 3, 16, 16)
    assert (image[:2, :, 12:] == 0.5).all(), "the last row is not written"
    assert (image[:2, :, :12] != 0.5).any()
    assert (image[2] == 0.5).all(), "the second batch has not begun"
    scored = write(made, 3)
    assert [len(images) for images in scored] == [2, 1]
    torch.testing.assert_close(torch.cat(scored), made.image())
    assert made.frame(32, 48).shape == (1, 3, 32, 48)
    assert not (made.codes == OPEN).any()


@pytest.mark.parametrize("last", [2, 4, 6])
def test_a_stopped_run_goes_on_with_the_same_codes(dalle, last):
    whole = make(dalle, number=4, batch=2)
    write(whole)
    first = make(dalle, number=4, batch=2)
    write(first, 0, last)
    second = make(dalle, number=4, batch=2)
    second.load_state_dict(first.state_dict())
    write(second, last)
    assert torch.equal(second.codes, whole.codes)


def test_a_state_of_other_codes_is_refused(dalle):
    known = torch.full((16,), OPEN)
    known[:4] = 7
    made = make(dalle, known=known)
    state = made.state_dict()
    with pytest.raises(InputError, match="codes must be from -1 to 31"):
        made.load_state_dict({**state, "codes": torch.full_like(state["codes"], 32)})
    with pytest.raises(InputError, match="the codes that were given have changed"):
        made.load_state_dict({**state, "codes": torch.zeros_like(state["codes"])})


def test_a_beginning_is_kept_and_continued(dalle, photo):
    known = Source(str(photo), rows=2).codes(dalle.codec, dalle.writer.grid)
    assert (known != OPEN).tolist() == [True] * 8 + [False] * 8
    made = make(dalle, known=known, steps=2)
    assert (made.image()[:, :, :8] != 0.5).any(), "the beginning is there from the start"
    write(made)
    assert (made.codes[:, :8] == known[:8]).all()
    assert len({tuple(row) for row in made.codes[:, 8:].tolist()}) == 4
    # the codes below are drawn given those above
    chances = []
    for start in (known[:8], (known[:8] + 1) % 32):
        codes = torch.cat([start, torch.zeros(8, dtype=torch.int64)])[None]
        chances.append(dalle.writer.network(torch.zeros(1, 64), codes)[0, 8])
    assert not torch.allclose(*chances)


def test_a_mask_says_what_is_written(dalle, photo, tmp_path):
    from PIL import Image

    with Image.open(photo) as image:
        mask = Image.new("L", image.size, 0)
    width, height = mask.size
    mask.paste(255, (width // 2, height // 2, width, height))
    mask.save(tmp_path / "corner.png")
    source = Source(str(photo), mask=str(tmp_path / "corner.png"))
    known = source.codes(dalle.codec, dalle.writer.grid)
    free = (known == OPEN).view(4, 4)
    assert free[2:, 2:].all()
    assert free.sum() in (4, 6, 9), "and cells that the border of the mask cuts"
    made = make(dalle, known=known, steps=3)
    write(made)
    assert (made.codes[:, known != OPEN] == known[known != OPEN]).all()
    assert not (made.codes == OPEN).any()


def test_nothing_to_write_is_refused(dalle, photo):
    with pytest.raises(InputError, match="--rows must be less than the 4 of the model but is 4"):
        Source(str(photo), rows=4).codes(dalle.codec, dalle.writer.grid)
    known = torch.zeros(16, dtype=torch.int64)
    known[13:] = OPEN
    with pytest.raises(InputError, match="steps must be at most 3, the codes that are to be"):
        make(dalle, known=known, steps=4)
    made = make(dalle)
    with pytest.raises(InputError, match="this run has 4 steps but is asked for 5"):
        made.prepare(0, 5)


def test_guidance_and_negatives_change_the_codes(dalle):
    found = set()
    for prompt, cfg in (("a fox", 0), ("a fox", 1), ("a fox", 4), ("a fox | fog:-1", 4)):
        made = make(dalle, prompt=prompt, cfg=cfg)
        write(made)
        found.add(tuple(made.codes.flatten().tolist()))
    assert len(found) == 4


def test_samples_have_the_odds_of_the_model(tmp_path: Path, tiny_clip_path: Path):
    more = {"rows": 1, "columns": 2, "codes": 32, "attention": ["full"], "spread": 0.5}
    model = load_dalle(str(write_model(tmp_path, tiny_clip_path, **more)), device="cpu")
    count = 3000
    made = make(model, number=count, batch=1000, steps=1, cfg=1.0, chances=Chances(1, 4, 1))
    write(made)
    network, reader = model.writer.network, model.writer.reader
    told = reader.read(["a fox"])[0].tensors["class_labels"]
    keep = Chances(1, 4, 1)
    first = keep.of(network(told, torch.zeros(1, 2, dtype=torch.int64))[:, 0])[0]
    odds = {}
    for one in first.nonzero().flatten().tolist():
        second = keep.of(network(told, torch.tensor([[one, 0]]))[:, 1])[0]
        for two in second.nonzero().flatten().tolist():
            odds[one, two] = float(first[one] * second[two])
    assert len(odds) == 16
    found = dict.fromkeys(itertools.product(range(32), repeat=2), 0)
    for pair in made.codes.tolist():
        found[tuple(pair)] += 1
    assert sum(found[pair] for pair in odds) == count, "none but the four likeliest are drawn"
    likely = {pair: count * chance for pair, chance in odds.items() if count * chance >= 5}
    rest = count - sum(likely.values())
    terms = [(found[pair] - wanted) ** 2 / wanted for pair, wanted in likely.items()]
    missed = count - sum(found[pair] for pair in likely)
    terms += [(missed - rest) ** 2 / rest] if rest > 1 else []
    assert sum(terms) < 39.3, "of at most 16 degrees of freedom, one in a thousand"


def test_what_is_not_finite_is_told(dalle, tmp_path, tiny_clip_path):
    model = load_dalle(str(write_model(tmp_path, tiny_clip_path)), device="cpu")
    model.writer.network.frequent[3] = float("nan")
    made = make(model)
    with pytest.raises(DivergedError, match="what the model says of code 0 is not finite"):
        write(made)
    assert (made.codes == OPEN).all()


def test_memory_that_cannot_suffice_is_told(dalle):
    one = dalle.writer.memory(2)  # of a picture, with the prompt and without
    check_memory(dalle.writer, 4, 2, 4 * one)
    check_memory(dalle.writer, 4, 2, None)
    with pytest.raises(InputError, match=r"batch: 4 pictures at once need about .* --batch 3 fits"):
        check_memory(dalle.writer, 4, 2, 4 * one - 1)
    with pytest.raises(InputError, match=r"not even one fits"):
        check_memory(dalle.writer, 4, 2, 10)
    free = free_memory(torch.device("cpu"))
    assert free is None or free > 1e6
    assert free_memory(torch.device("meta")) is None
