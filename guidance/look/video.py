"""Video → frames → cosines over time ``[T, P]`` → one score a text."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from PIL import Image, ImageSequence
from torch import Tensor

from guidance.conventions import check_range
from guidance.errors import FileError, line
from guidance.images import FORMATS, MAX_PIXELS, hide_warnings, to_tensor
from guidance.scorer import ClipScorer

ANIMATIONS = (".gif", ".webp", ".png", ".apng", ".avif")
SHRINK = 3  # frames are reduced to no less than this many times CLIP's input


def read_frames(path: Path, fps: float) -> Iterator[tuple[float, Image.Image]]:
    """Give `fps` frames for each second of a video, with their time in seconds.

    An animation of fewer frames gives each once.

    Raises:
        FileError: it cannot be read, is damaged, or has frames that are too large.
    """
    check_range("fps", fps, 0, 1000, above=True)
    if path.suffix.lower() not in ANIMATIONS:
        yield from _film(path, fps)
        return
    due = 0.0
    for seconds, frame in _animation(path):
        if seconds >= due - 1e-6:
            due = max(due + 1 / fps, seconds)
            yield seconds, frame


def _animation(path: Path) -> Iterator[tuple[float, Image.Image]]:
    try:
        with (
            hide_warnings(),
            Image.open(path, formats=[f for f in FORMATS if f in Image.OPEN]) as m,
        ):
            _check_size(path, *m.size)
            seconds = 0.0
            for frame in ImageSequence.Iterator(m):
                yield seconds, frame.convert("RGB")
                seconds += max(frame.info.get("duration") or 100, 10) / 1000
    except FileError:
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, EOFError, ...
        raise FileError(f"{path} cannot be read: {line(error)}") from error


def _film(path: Path, fps: float) -> Iterator[tuple[float, Image.Image]]:
    """Let ffmpeg decode; each frame comes with its own size, as PPM."""
    from imageio_ffmpeg import get_ffmpeg_exe

    command = [
        get_ffmpeg_exe(), "-v", "error", "-nostdin", "-protocol_whitelist", "file,pipe",
        "-i", f"file:{path}", "-vf", f"fps={fps}:round=up", "-f", "image2pipe", "-c:v", "ppm", "-",
    ]  # fmt: skip
    with tempfile.TemporaryFile() as messages:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages)
        try:
            number = 0
            while header := process.stdout.readline():
                size = process.stdout.readline().split()
                process.stdout.readline()  # the greatest value, 255
                width, height = map(int, size) if header == b"P6\n" else (0, 0)
                _check_size(path, width, height)
                data = process.stdout.read(3 * width * height)
                if not data or len(data) < 3 * width * height:
                    break
                yield number / fps, Image.frombytes("RGB", (width, height), data)
                number += 1
            process.wait()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
        if not number:
            messages.seek(0)
            said = messages.read(10_000).decode("utf-8", "replace").strip().splitlines()
            reason = f": {said[-1]}" if said else ""
            raise FileError(f"{path} is not a video that can be read{reason}")


def _check_size(path: Path, width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise FileError(f"{path} has frames of {width}x{height}, more than {MAX_PIXELS:,} pixels")


@torch.no_grad()
def score_frames(
    frames: Iterator[tuple[float, Image.Image]],
    texts: list[str],
    scorer: ClipScorer,
    *,
    batch: int = 32,
) -> tuple[list[float], Tensor]:
    """Return the times of the frames in seconds, and their cosines to the texts ``[T, P]``."""
    targets = scorer.encode_text(texts)
    least = SHRINK * max(m.image_size for m in scorer.models)
    times: list[float] = []
    waiting: list[Tensor] = []
    scores: list[Tensor] = []

    def flush() -> None:
        if waiting:
            scores.append((scorer.encode_image(torch.cat(waiting)) @ targets.T).cpu())
            waiting.clear()

    for seconds, frame in frames:
        factor = max(1, min(frame.size) // least)
        pixels = to_tensor(frame.reduce(factor) if factor > 1 else frame)
        if waiting and waiting[0].shape != pixels.shape:
            flush()
        times.append(seconds)
        waiting.append(pixels)
        if len(waiting) == batch:
            flush()
    flush()
    return times, torch.cat(scores) if scores else torch.zeros(0, len(texts))


def pool_attention(scores: Tensor, temperature: float) -> Tensor:
    """Pool cosines over time, each moment weighted by how well it fits the text itself.

    The attention over the similarity matrix of X-CLIP (Ma et al. 2022, arXiv:2207.07285, section
    3.4): the sum over the frames of softmax(score / temperature) × score.

    Args:
        scores: ``[T, P]``.
        temperature: above 0; towards 0 the result is the maximum, towards infinity the mean.

    Returns:
        ``[P]``.
    """
    check_range("temperature", temperature, 0, above=True)
    return ((scores / temperature).softmax(dim=0) * scores).sum(dim=0)
