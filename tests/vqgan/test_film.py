"""Films: reading them, restyling them, and zoom videos, from the command line; exact resume."""

from __future__ import annotations

from pathlib import Path

import imageio
import numpy as np
import pytest
import tiny_vqgan
import torch
from PIL import Image

from guidance.artefacts.manifest import read_manifest
from guidance.command import run as runner
from guidance.command.runner import command
from guidance.errors import FileError, InputError
from guidance.models.latents import wrap
from guidance.vqgan import Painting, VqganOptions
from guidance.vqgan.film import Film, LikeFilm, Reader
from guidance.vqgan.film_source import Source
from guidance.vqgan.technique import VQGAN

# imageio's reader leaves a pipe of its ffmpeg process to the garbage collector
READS = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
FRAMES = 7
SIZE = (24, 32)


@pytest.fixture(scope="module")
def arrays() -> list[np.ndarray]:
    """Return frames of 64 x 48 pixels in which a bright square moves."""
    frames = []
    for number in range(FRAMES):
        frame = np.full((48, 64, 3), 40 + 20 * number, np.uint8)
        frame[12:28, 4 + 6 * number : 20 + 6 * number] = (250, 200, 30)
        frames.append(frame)
    return frames


@pytest.fixture(scope="module")
def video(arrays, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("film") / "in.mp4"
    imageio.mimsave(path, arrays, fps=12, macro_block_size=2, quality=9)
    return path


@pytest.fixture(scope="module")
def folder(arrays, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("frames")
    for number, array in enumerate(arrays):
        Image.fromarray(array).save(path / f"frame{number * 2}.png")  # 10 comes after 8
    (path / "notes.txt").write_text("not a frame")
    return path


@pytest.fixture(scope="module")
def vqgan(tmp_path_factory) -> Path:
    return tiny_vqgan.save(tmp_path_factory.mktemp("vqgan") / "tiny")


@pytest.fixture
def paint(vqgan, tiny_clip_path):
    """Return a function that runs the command line with tiny networks."""

    def call(*arguments: object) -> int:
        small = ["--vqgan", vqgan, "--clip", tiny_clip_path, "--size", "32x24", "--cuts", 2,
                 "--video-size", 64, "-q"]  # fmt: skip
        return command(VQGAN, [str(a) for a in ("a fox", *small, *arguments)])

    return call


def options(**more: object) -> VqganOptions:
    return VqganOptions(prompt="a fox", device="cpu", size="32x24", **more)


def frames_of(path: Path) -> tuple[list[np.ndarray], float]:
    with imageio.get_reader(path) as reader:
        return [np.asarray(frame) for frame in reader], reader.get_meta_data()["fps"]


def seen(array: np.ndarray) -> torch.Tensor:
    """Return a frame at the size of the painting, by averaging 2 x 2 pixels."""
    image = torch.from_numpy(array).permute(2, 0, 1)[None].float() / 255
    return torch.nn.functional.avg_pool2d(image, 2)


# reading


def test_facts_of_a_video_and_of_a_folder(video, folder):
    facts = Source(str(video)).check()
    assert (facts.frames, facts.size, facts.fps) == (FRAMES, (48, 64), 12)
    facts = Source(str(video), stride=3).check()
    assert (facts.frames, facts.fps) == (3, 4)
    assert Source(str(video), stride=2, limit=3).check().frames == 3
    assert Source(str(video), limit=99).check().frames == FRAMES
    facts = Source(str(folder), stride=2).check()
    assert (facts.frames, facts.size, facts.fps) == (4, (48, 64), None)


@pytest.mark.parametrize("stride", [1, 3])
@pytest.mark.parametrize("kind", ["video", "folder"])
def test_frames_in_any_order_are_those_of_the_film(kind, stride, arrays, request):
    reader = Reader(Source(str(request.getfixturevalue(kind)), stride), SIZE)
    count = reader.source.check().frames
    for number in [*range(count), 0, count - 1, 1, 1]:
        frame = reader.frame(number)
        assert frame.shape == (1, 3, *SIZE)
        wrong = (frame - seen(arrays[number * stride])).abs()
        assert wrong.mean() < (0.03 if kind == "video" else 0.01)
    with pytest.raises(FileError, match=f"ended before frame {count + 1}"):
        reader.frame(count)


def test_a_gif_is_a_film(arrays, tmp_path):
    path = tmp_path / "in.gif"
    imageio.mimsave(path, arrays, duration=100, loop=0)
    assert Source(str(path)).check().frames == FRAMES
    assert Source(str(path)).check().fps == pytest.approx(10)


def test_a_frame_of_another_shape_is_cropped_about_its_middle(tmp_path):
    array = np.zeros((48, 96, 3), np.uint8)
    array[:, 16:80] = 255
    Image.fromarray(array).save(tmp_path / "1.png")
    frame = Reader(Source(str(tmp_path)), SIZE).frame(0)
    assert frame.min() > 0.9


@pytest.mark.parametrize("what", ["missing", "empty", "text", "noise", "bare", "cut", "list"])
def test_what_is_no_film(what, tmp_path, video):
    path = tmp_path / "film.mp4"
    if what == "empty":
        path.write_bytes(b"")
    elif what == "text":
        path.write_text("hello " * 1000)
    elif what == "noise":
        path.write_bytes(np.random.default_rng(0).bytes(20_000))
    elif what == "cut":
        path.write_bytes(video.read_bytes()[:300])
    elif what == "list":  # of other places to read from
        path.write_text(f"ffconcat version 1.0\nfile '{video}'\n")
    elif what == "bare":
        path.mkdir()
    with pytest.raises(FileError, match="--video-in: ") as caught:
        Source(str(path)).check()
    assert "\n" not in str(caught.value)


# painting


def test_a_frame_starts_from_a_blend_with_the_last_one(folder):
    latents = wrap(tiny_vqgan.build("kl"), "tiny")
    reader = Reader(Source(str(folder)), SIZE)
    z = latents.encode(torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(0)))
    painting = Painting(latents, z, SIZE, camera=Film(reader, 4, 0.25))
    painting.prepare(0, 12)
    torch.testing.assert_close(painting.z.data, latents.encode(reader.frame(0)))
    painted, kept = painting.picture(), painting.z.data.clone()
    painting.prepare(3, 12)
    assert torch.equal(painting.z, kept)
    painting.prepare(4, 12)
    blend = 0.25 * painted + 0.75 * reader.frame(1)
    torch.testing.assert_close(painting.z.data, latents.encode(blend))


def test_likeness_to_the_frame_of_the_step(folder):
    reader = Reader(Source(str(folder)), SIZE)
    image = torch.full((1, 3, *SIZE), 0.5, requires_grad=True)
    said = LikeFilm(reader, 3).evaluate(image, 8)
    expected = float((0.5 - reader.frame(2)).pow(2).mean())
    assert said.loss.item() == pytest.approx(expected)
    assert said.terms["likeness"].item() == said.loss.item()
    said.loss.backward()
    assert image.grad.sign().eq((0.5 - reader.frame(2)).sign()).all()
    with pytest.raises(InputError, match="size of the film"):
        LikeFilm(reader, 3)(image[..., :8])


def test_options_say_how_long_a_film_is(video):
    film = options(video_in=str(video), frame_steps=3, frame_stride=2, story=("a wolf",))
    film.check()
    assert film.total() == 4 * 3
    assert [i for i in range(12) if film.shows(i)] == [2, 5, 8, 11]
    assert film.speed() == 6
    assert options(video_in=str(video), fps=9.0).speed() == 9
    assert [p.start for p in film.prompts()] == [0, 6]


@READS
def test_a_film_leaves_a_video_of_as_many_frames(paint, video, tmp_path):
    out = tmp_path / "run"
    assert paint("--video-in", video, "--frame-steps", 2, "-o", out) == 0
    frames, fps = frames_of(out / "progress.mp4")
    assert len(frames) == FRAMES
    assert fps == 12
    assert frames[0].shape == (48, 64, 3)
    assert len((out / "steps.csv").read_text().splitlines()) == 1 + 2 * FRAMES
    assert "loss_likeness" in (out / "steps.csv").read_text()
    assert read_manifest(out)["options"]["video_in"] == str(video)


@READS
@pytest.mark.parametrize("smooth", [1, 5])
def test_a_zoom_leaves_a_video_that_plays(paint, tmp_path, smooth):
    out = tmp_path / "run"
    zoom = ["--zoom", "-zse", 5, "-zsc", 1.05, "--zoom-smooth", smooth, "--zoom-angle", 1]
    assert paint(*zoom, "--steps", 20, "--fps", 8, "-o", out) == 0
    frames, fps = frames_of(out / "progress.mp4")
    assert len(frames) == (4 if smooth == 1 else 19)
    assert fps == 8
    assert {frame.shape for frame in frames} == {(48, 64, 3)}
    assert len({frame.tobytes() for frame in frames}) == len(frames)


def test_a_zoom_changes_the_painting_and_repeats_from_its_manifest(paint, tmp_path):
    still, moved, again = (tmp_path / name for name in ("still", "moved", "again"))
    assert paint("--steps", 6, "-o", still) == 0
    assert paint("--steps", 6, "--zoom", "-zse", 2, "-zsx", 3, "-o", moved) == 0
    assert command(VQGAN, ["--from", str(moved), "-o", str(again), "-q"]) == 0
    images = [(path / "image.png").read_bytes() for path in (still, moved, again)]
    assert images[0] != images[1] == images[2]


@pytest.mark.parametrize("done", [4, 5])  # in the middle of a move or frame, and between two
@pytest.mark.parametrize("kind", ["zoom", "film"])
def test_resume_is_exact(kind, done, paint, folder, tmp_path, monkeypatch):
    camera = {
        "zoom": ["--zoom", "--zoom-every", 5, "--zoom-smooth", 3, "--steps", 13, "--ema", 0.5],
        "film": ["--video-in", folder, "--frame-steps", 5, "--frames", 3],
    }[kind]
    whole, halved = tmp_path / "whole", tmp_path / "halved"
    arguments = [*camera, "--save-every", done, "--story", "a wolf", "--fade", 4]
    assert paint(*arguments, "-o", whole) == 0
    save = runner.checkpoint.save

    def save_and_stop(path, generator, step, fingerprint):
        save(path, generator, step, fingerprint)
        if step == done:
            raise KeyboardInterrupt  # as a kill: nothing is finished

    monkeypatch.setattr(runner.checkpoint, "save", save_and_stop)
    assert paint(*arguments, "-o", halved) == 130
    monkeypatch.undo()
    assert command(VQGAN, ["--resume", str(halved), "-q"]) == 0
    for name in ("image.png", "steps.csv", "progress.mp4"):
        assert (whole / name).read_bytes() == (halved / name).read_bytes(), name


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"video_in": "none.mp4", "prompt": ""}, "none.mp4 does not exist"),  # the file first
        ({"video_in": "{video}", "frame_steps": 0}, "frame_steps must be at least 1"),
        ({"video_in": "{video}", "frames": 0}, "frames must be at least 1"),
        ({"video_in": "{video}", "frame_stride": 0}, "frame_stride must be at least 1"),
        ({"video_in": "{video}", "frame_blend": 1.5}, "frame_blend must be"),
        ({"video_in": "{video}", "frame_weight": -1.0}, "frame_weight must be"),
        ({"video_in": "{video}", "zoom": True}, "contradict"),
        ({"video_in": "{video}", "video": "none"}, "makes a video"),
        ({"video_in": "{video}", "frame_every": 2}, "see --frame-stride"),
        ({"video_in": "{video}", "init_noise": "perlin"}, "starts from its frames"),
        ({"video_in": "{video}", "init": "{image}", "mask": "{image}"}, "--mask keeps"),
        ({"zoom": True, "init": "{image}", "mask": "{image}"}, "--mask keeps"),
        ({"zoom": True, "steps": 10}, "the first camera move comes after"),
        ({"zoom": True, "zoom_every": 0}, "zoom_every must be at least 1"),
        ({"zoom": True, "zoom_smooth": 11}, "zoom_smooth must be"),
        ({"zoom": True, "zoom_scale": 0.0}, "zoom_scale must be at least 0.5"),
        ({"zoom": True, "zoom_start": -1}, "zoom_start must be"),
        ({"zoom": True, "zoom_angle": 200.0}, "zoom_angle must be"),
        ({"zoom": True, "zoom_shift_x": float("nan")}, "zoom_shift_x must be"),
    ],
)
def test_bad_motion(values, message, video, folder):
    paths = {"{video}": str(video), "{image}": str(folder / "frame0.png")}
    values = {k: paths.get(v, v) if isinstance(v, str) else v for k, v in values.items()}
    with pytest.raises((InputError, FileError), match=message):
        VqganOptions(**({"prompt": "a fox", "device": "cpu", "vqgan": "mini"} | values)).check()
