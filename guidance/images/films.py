"""Films → frames: videos, which ffmpeg decodes, and animations, which Pillow does.

Frames have the shape in which a player shows them: turned as the file says, pixels made square.
Transparency is laid over white, as in still pictures.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from PIL import Image

from guidance.errors import FileError
from guidance.images.modes import to_rgb
from guidance.images.read import (
    MAX_PIXELS,
    check_file,
    hide_warnings,
    named_errors,
    open_image,
)

# a video whose pixels are not square is made wider or higher, never smaller; no side can burst
SQUARE = (
    "scale=w='min(32767,round(iw*clip(sar,1,10)))':h='min(32767,round(ih/clip(sar,0.1,1)))',"
    "setsar=1"
)

# a variable rate must not lead to doubled frames
STREAM = ("-map", "0:v:0", "-fps_mode", "passthrough")
# pixels with transparency, as ffmpeg calls them
ALPHA = re.compile(rb"[ ,](yuva\w+|rgba\w*|bgra\w*|argb|abgr|gbrap\w*|ya8|ya16\w*|ayuv\w*|vuya)\b")


@dataclass(frozen=True)
class FilmFacts:
    """What is known of a film without its pictures.

    Attributes:
        frames: how many there are.
        size: height and width as shown, pixels.
        fps: on average; None if the file does not say.
    """

    frames: int
    size: tuple[int, int]
    fps: float | None


def is_animation(path: Path) -> bool:
    """Return whether a file is an image by its first bytes: one that may hold several frames."""
    if not path.is_file():  # a pipe would be waited for
        return False
    try:
        with path.open("rb") as file:
            head = file.read(32)
    except OSError:
        return False
    if head[4:8] == b"ftyp":
        return head[8:12] in (b"avif", b"avis")
    return head.startswith((b"GIF8", b"\x89PNG")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def animation_frames(path: Path) -> Iterator[tuple[float, float, Image.Image]]:
    """Yield the frames of an animation; of an image its only one.

    Each comes with the seconds from which and until which it is shown.

    Raises:
        FileError: it cannot be read, is damaged, or has frames that are too large.
    """
    with (
        hide_warnings(),
        named_errors(path, str(path), MAX_PIXELS),
        open_image(path, str(path)) as film,
    ):
        _check_size(path, *film.size)
        seconds = 0.0
        for number in range(_still(film), getattr(film, "n_frames", 1)):
            film.seek(number)
            film.load()
            start, seconds = seconds, seconds + _duration(film)
            yield start, seconds, to_rgb(film, str(path))


def video_frames(
    path: Path, fps: float | None = None, *, limit: int | None = None
) -> Generator[Image.Image]:
    """Yield the frames of a video in their order.

    Args:
        fps: so many for each second, left out or doubled where needed; None for those it has.
        limit: greatest number of frames.

    Raises:
        FileError: it is no video, has no pictures, or has frames that are too large.
    """
    with named_errors(path, str(path), MAX_PIXELS):
        check_file(path, str(path))
    rate = "" if fps is None else f",fps={fps}:round=up"
    most = [] if limit is None else ["-frames:v", str(limit)]
    before, pixels = _alpha(path)
    # PAM says how large each frame is
    output = ["-vf", SQUARE + rate, *most, "-pix_fmt", pixels, "-c:v", "pam", "-f", "image2pipe"]
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(
            [*_decoder(path, *before), *output, "-"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=messages,
            start_new_session=True,  # keeps Ctrl-C from ending the decoder early, as does
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),  # on Windows
        )
        assert process.stdout is not None  # for it is a pipe
        try:
            any_frame = False
            while frame := _frame(process.stdout, path):
                any_frame = True
                yield frame
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        if not any_frame:
            messages.seek(0)
            said = messages.read(10_000).decode("utf-8", "replace").strip().splitlines()
            if any("matches no streams" in line for line in said):
                raise FileError(f"{path} is not a video that can be read: it has no pictures")
            reason = f": {said[-1]}" if said else ""
            raise FileError(f"{path} is not a video that can be read{reason}")


def _frame(pipe: IO[bytes], path: Path) -> Image.Image | None:
    """Read the next frame that ffmpeg wrote as PAM; None at the end, and of half a frame."""
    head = {}
    while (line := pipe.readline()) != b"ENDHDR\n":
        if not line:
            return None
        name, _, value = line.decode("ascii").partition(" ")
        head[name] = value.strip()
    width, height, depth = (int(head[name]) for name in ("WIDTH", "HEIGHT", "DEPTH"))
    _check_size(path, width, height)
    data = pipe.read(width * height * depth)
    if len(data) < width * height * depth:
        return None
    return to_rgb(
        Image.frombytes("RGB" if depth == 3 else "RGBA", (width, height), data), str(path)
    )


def _alpha(path: Path) -> tuple[list[str], str]:
    """Return the decoder to ask for, ffmpeg's own choice if empty, and the pixels to ask it for."""
    command = [*_decoder(path, level="info")[: -len(STREAM)], "-hide_banner"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    stream = re.search(rb"Stream .*Video: .*", done.stderr)
    if stream is None or not (b"alpha_mode" in done.stderr or ALPHA.search(stream[0])):
        return [], "rgb24"
    # the decoders that are taken first do not know the transparency of WebM
    codec = re.search(rb"Video: (vp[89])\b", stream[0])
    names = {b"vp8": "libvpx", b"vp9": "libvpx-vp9"}
    return (["-c:v", names[codec[1]]] if codec else []), "rgba"


def film_frames(path: Path) -> Generator[Image.Image]:
    """Yield all frames of a video or an animation."""
    if is_animation(path):
        yield from (frame for _, _, frame in animation_frames(path))
    else:
        yield from video_frames(path)


def film_facts(path: Path, *, limit: int | None = None) -> FilmFacts:
    """Return what is known of a video or animation; it is decoded once to count its frames.

    Args:
        limit: greatest number of frames to count.

    Raises:
        FileError: it is neither.
    """
    if is_animation(path):
        return _animation_facts(path, limit)
    with contextlib.closing(video_frames(path, limit=1)) as frames:
        first = next(frames)
    most = [] if limit is None else ["-frames:v", str(limit)]
    count = [
        *_decoder(path, level="info"),
        *most,
        "-progress",
        "pipe:1",
        "-nostats",
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(count, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    counts = re.findall(rb"^frame=\s*(\d+)", done.stdout, re.MULTILINE)
    if not counts or not int(counts[-1]):
        raise FileError(f"{path} is not a video that can be read")
    rate = re.search(rb"Stream .*Video: .* ([\d.]+) fps", done.stderr)
    return FilmFacts(int(counts[-1]), (first.height, first.width), float(rate[1]) if rate else None)


def _animation_facts(path: Path, limit: int | None) -> FilmFacts:
    times, size = [], (0, 0)
    for seconds, _, frame in animation_frames(path):
        times.append(seconds)
        size = (frame.height, frame.width)
        if len(times) == limit:
            break
    lasts = times[-1] - times[0]
    return FilmFacts(len(times), size, (len(times) - 1) / lasts if lasts else None)


def _still(film: Image.Image) -> int:
    """Return 1 if the first picture of an animated PNG is shown only where nothing moves."""
    return int(bool(getattr(film, "default_image", False)) and getattr(film, "n_frames", 1) > 1)


def _duration(film: Image.Image) -> float:
    """Return the seconds that the frame which was loaded is shown; browsers take 0 for 0.1 too."""
    return max(film.info.get("duration") or 100, 10) / 1000


def _decoder(path: Path, *before: str, level: str = "error") -> list[str]:
    """Return the start of a command that decodes a video file frame by frame."""
    from imageio_ffmpeg import get_ffmpeg_exe

    return [
        get_ffmpeg_exe(), "-v", level, "-nostdin",
        # a playlist must not lead to the network
        "-protocol_whitelist", "file,pipe", "-max_pixels", str(MAX_PIXELS), *before,
        "-i", f"file:{os.path.abspath(path)}", *STREAM,
    ]  # fmt: skip


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise FileError(f"{path} has frames of {width}x{height}, more than {MAX_PIXELS:,} pixels")
