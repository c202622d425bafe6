"""Frames of films and animations over time, and their pooling."""

import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from guidance.clip.scorer import ClipScorer
from guidance.errors import FileError, InputError
from guidance.look.video import pool_attention, read_frames, score_frames

COLOURS = ("red", "lime", "blue", "white")


def film(path, images, fps=10):
    import imageio

    with imageio.get_writer(path, fps=fps, macro_block_size=2) as writer:
        for image in images:
            writer.append_data(np.asarray(image.convert("RGB")))
    return path


def solid(colour, size=(64, 48)):
    return Image.new("RGB", size, colour)


def middle(image):
    return np.array(image.getpixel((image.width // 2, image.height // 2)))


def test_frames_of_a_film_at_their_times(tmp_path):
    path = film(tmp_path / "a.mp4", [solid(c) for c in COLOURS for _ in range(5)])
    every = list(read_frames(path, 10))
    assert [t for t, _ in every] == pytest.approx([n / 10 for n in range(20)])
    for number, (_, frame) in enumerate(every):
        want = middle(solid(COLOURS[number // 5])).astype(int)
        assert np.abs(middle(frame) - want).max() < 40
    some = list(read_frames(path, 4))
    assert [t for t, _ in some] == pytest.approx([n / 4 for n in range(8)])
    for number, (_, frame) in enumerate(some):
        assert np.abs(middle(frame).astype(int) - middle(solid(COLOURS[number // 2]))).max() < 40
    assert next(read_frames(path, 0.5))[0] == 0


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png"])
def test_frames_of_an_animation_by_their_own_times(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    frames = [solid(c) for c in COLOURS]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[100, 300, 100, 500])
    found = list(read_frames(path, 100))
    assert [t for t, _ in found] == pytest.approx([0, 0.1, 0.4, 0.5])
    for (_, frame), colour in zip(found, frames, strict=True):
        assert np.abs(middle(frame).astype(int) - middle(colour)).max() < 10


def test_an_animation_is_looked_at_as_it_is_shown(tmp_path):
    path = tmp_path / "a.gif"
    frames = [solid(c) for c in COLOURS]
    # at 0 red, at 0.25 and 0.5 lime; blue is gone before 0.75, when it is white
    durations = [100, 500, 100, 1000]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=durations)
    found = list(read_frames(path, 4))
    assert [t for t, _ in found] == pytest.approx([0, 0.1, 0.7])
    for (_, frame), colour in zip(found, ("red", "lime", "white"), strict=True):
        assert np.abs(middle(frame).astype(int) - middle(solid(colour))).max() < 10


def test_files_that_are_no_videos(tmp_path):
    (tmp_path / "a.mp4").write_bytes(b"no video at all" * 100)
    (tmp_path / "a.gif").write_bytes(b"GIF89a")
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(FileError, match=f"{name} is not a(n image of a known| video that can)"):
            list(read_frames(tmp_path / name, 4))
    with pytest.raises(InputError, match="fps must be greater than 0"):
        list(read_frames(tmp_path / "a.gif", 0))


def test_scores_are_those_of_the_frames(tiny_clip):
    scorer = ClipScorer([tiny_clip])
    frames = [solid(c) for c in COLOURS] + [solid("navy", (48, 64))]  # sizes may change
    given = iter([(n / 4, f) for n, f in enumerate(frames)])
    times, scores = score_frames(given, ["a fox", "a boat"], scorer, batch=3)
    assert times == [0, 0.25, 0.5, 0.75, 1]
    want = scorer.similarity(frames, ["a fox", "a boat"])
    torch.testing.assert_close(scores, want, atol=1e-5, rtol=0)
    times, scores = score_frames(iter([]), ["a fox"], scorer)
    assert (times, scores.shape) == ([], (0, 1))


def test_attention_lies_between_the_mean_and_the_best():
    scores = torch.tensor([[0.1, 0.5], [0.2, 0.5], [0.6, 0.5]], dtype=torch.float64)
    weights = [np.exp(s / 0.1) for s in (0.1, 0.2, 0.6)]
    want = sum(w * s for w, s in zip(weights, (0.1, 0.2, 0.6), strict=True)) / sum(weights)
    found = pool_attention(scores, 0.1)
    assert found.tolist() == pytest.approx([want, 0.5])
    assert pool_attention(scores, 1e-4)[0].item() == pytest.approx(0.6)
    assert pool_attention(scores, 1e4)[0].item() == pytest.approx(0.3, abs=1e-4)
    with pytest.raises(InputError, match="temperature must be greater than 0"):
        pool_attention(scores, 0)


def test_photos_in_a_film_are_found_in_their_time(tmp_path):
    names = {"chelsea": "a cat", "coffee": "a cup of coffee", "rocket": "a rocket"}
    photos = [Image.fromarray(getattr(skimage.data, n)()).resize((256, 192)) for n in names]
    path = film(tmp_path / "a.mp4", [p for p in photos for _ in range(8)], fps=8)
    scorer = ClipScorer("mini", device="cpu")
    times, scores = score_frames(read_frames(path, 2), list(names.values()), scorer)
    best = [times[i] for i in scores.argmax(dim=0)]
    assert [int(t) for t in best] == [0, 1, 2]
