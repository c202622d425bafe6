"""Films and animations → frames as a player shows them."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from imageio_ffmpeg import get_ffmpeg_exe
from PIL import Image
from systems import posix

from guidance.errors import FileError
from guidance.images import load_image
from guidance.images.films import (
    animation_frames,
    film_facts,
    film_frames,
    is_animation,
    video_frames,
)

SUFFIXES = ["gif", "png", "webp", "avif"]


def solid(colour: str, size=(64, 48)) -> Image.Image:
    return Image.new("RGBA", size, colour)


def video(path, *filters: str):
    """Write a video of 5 frames: 64 x 48 pixels, the left half red and the right one blue."""
    source = "color=red:s=32x48:r=10:d=0.5[l];color=blue:s=32x48:r=10:d=0.5[r];[l][r]hstack"
    shape = ",".join([source, *filters])
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-y", "-filter_complex", shape, "-crf", "5",
         "-pix_fmt", "yuv444p", str(path)],
        check=True,
    )  # fmt: skip
    return path


@pytest.mark.parametrize(
    ("filters", "size"),
    [([], (64, 48)), (["setsar=2"], (128, 48)), (["setsar=1/2"], (64, 96)),
     (["setsar=4/3"], (85, 48)), (["setsar=0"], (64, 48)), (["setsar=16"], (640, 48))],
)  # fmt: skip
def test_pixels_of_a_video_are_made_square(tmp_path, filters, size):
    path = video(tmp_path / "a.mp4", *filters)
    frames = list(video_frames(path))
    assert [f.size for f in frames] == [size] * 5
    pixels = np.asarray(frames[2]).astype(int)
    width = pixels.shape[1]
    assert abs(pixels[:, : width * 2 // 5] - (255, 0, 0)).max() < 12
    assert abs(pixels[:, width * 3 // 5 :] - (0, 0, 255)).max() < 12
    facts = film_facts(path)
    assert (facts.frames, facts.size, facts.fps) == (5, size[::-1], 10)
    assert film_facts(path, limit=3).frames == 3
    assert len(list(video_frames(path, 4))) == 2


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mov", ["qtrle"]), ("b.mov", ["prores_ks", "-pix_fmt", "yuva444p10le"]),
     ("a.webm", ["libvpx-vp9", "-pix_fmt", "yuva420p"]),
     ("b.webm", ["libvpx", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0"])],
)  # fmt: skip
def test_transparency_of_a_video_is_white(tmp_path, name, codec):
    shape = "color=red@0.0:s=64x48:r=10:d=0.3,format=rgba,drawbox=16:8:32:24:blue@1.0:fill:1"
    path = tmp_path / name
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", shape, "-c:v", *codec, str(path)],
        check=True,
    )
    frames = [np.asarray(f).astype(int) for f in video_frames(path)]
    assert len(frames) == 3
    assert abs(frames[1][:4] - 255).max() < 8
    assert abs(frames[1][12:28, 20:44] - (0, 0, 255)).max() < 16


def test_a_turned_video_is_upright(tmp_path):
    path = tmp_path / "turned.mp4"
    subprocess.run(
        [get_ffmpeg_exe(), "-v", "error", "-display_rotation", "90", "-i",
         str(video(tmp_path / "a.mp4", "setsar=2")), "-c", "copy", str(path)],
        check=True,
    )  # fmt: skip
    assert film_facts(path).size == (128, 48)
    assert next(video_frames(path)).size == (48, 128)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_transparency_of_an_animation_is_white(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    frames = [solid("#0000") for _ in range(3)]
    for number, frame in enumerate(frames):
        frame.paste((250, 10, 10, 255), (4 + 16 * number, 8, 20 + 16 * number, 40))
    options = {"quality": 100, "subsampling": "4:4:4"} if suffix == "avif" else {"lossless": True}
    frames[0].save(
        path, save_all=True, append_images=frames[1:], duration=100, disposal=2, **options
    )
    assert is_animation(path)
    found = list(animation_frames(path))
    assert [t for t, _, _ in found] == pytest.approx([0, 0.1, 0.2])
    assert [t for _, t, _ in found] == pytest.approx([0.1, 0.2, 0.3])
    for (_, _, frame), given in zip(found, frames, strict=True):
        white = Image.alpha_composite(solid("white"), given).convert("RGB")
        wrong = np.abs(np.asarray(frame).astype(int) - np.asarray(white))
        assert wrong.max() < 12
    wrong = np.abs(np.asarray(load_image(path)).astype(int) - np.asarray(found[0][2]))
    assert wrong.max() == 0  # a still picture is the first frame
    facts = film_facts(path)
    assert (facts.frames, facts.size, facts.fps) == (3, (48, 64), pytest.approx(10))
    assert film_facts(path, limit=2).frames == 2
    assert [f.size for f in film_frames(path)] == [(64, 48)] * 3


def test_the_still_picture_of_an_animated_png_is_no_frame(tmp_path):
    path = tmp_path / "a.png"
    solid("lime").save(
        path, save_all=True, default_image=True, append_images=[solid("red"), solid("blue")]
    )
    assert [f.getpixel((9, 9)) for f in film_frames(path)] == [(255, 0, 0), (0, 0, 255)]


@posix
def test_a_sound_and_what_is_no_regular_file_are_named(tmp_path):
    sound = tmp_path / "sound.mp4"
    command = [get_ffmpeg_exe(), "-v", "error", "-f", "lavfi", "-i", "sine=d=0.2", sound]
    subprocess.run(command, check=True)
    os.mkfifo(tmp_path / "pipe.mp4")  # would be waited for
    (tmp_path / "nothing.gif").touch()
    for name, reason in {
        "sound.mp4": "is not a video that can be read: it has no pictures",
        "pipe.mp4": "is not a regular file",
        "nothing.gif": "is empty",
    }.items():
        for read in (film_facts, lambda path: list(film_frames(path))):
            with pytest.raises(FileError, match=f"{name} {reason}$"):
                read(tmp_path / name)


def test_a_file_is_known_by_its_content(tmp_path):
    solid("red").save(tmp_path / "a.mp4", "GIF")
    assert next(film_frames(tmp_path / "a.mp4")).size == (64, 48)
    video(tmp_path / "b.mp4").rename(tmp_path / "b.gif")
    assert len(list(film_frames(tmp_path / "b.gif"))) == 5
    assert not is_animation(tmp_path / "none")
    for data, reason in {
        b"hello" * 99: "is not a video that can be",
        b"GIF89a": "is not an im",
    }.items():
        (tmp_path / "c.mp4").write_bytes(data)
        for read in (film_facts, lambda path: list(film_frames(path))):
            with pytest.raises(FileError, match=f"c.mp4 {reason}"):
                read(tmp_path / "c.mp4")


def test_animations_are_read_by_a_fresh_process(tmp_path):
    for suffix in SUFFIXES:
        solid("red").save(tmp_path / f"a.{suffix}", save_all=True, append_images=[solid("blue")])
    code = (
        "import sys; from pathlib import Path; from guidance.images.films import film_frames\n"
        "print([len(list(film_frames(Path(p)))) for p in sys.argv[1:]])"
    )
    files = [str(tmp_path / f"a.{s}") for s in SUFFIXES]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("[2, 2, 2, 2]\n", "")
