"""Step → files: the run folder, PNG with its recipe inside, progress video, contact sheet.

A run folder holds ``image.png``, ``steps.csv``, ``manifest.toml``, ``progress.mp4`` or ``.gif``,
``checkpoint.safetensors`` and the extras of its technique. Every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from guidance.errors import FileError, InputError
from guidance.files import atomic, make_folder, write
from guidance.images import to_pil
from guidance.loop import Step

SHEET_SIDE = 4096  # pixels, about, of a contact sheet of very many pictures
FRAME = re.compile(r"(\d{6})\.jpg")


class RunFolder:
    """The folder of one run.

    Args:
        path: created if it does not exist.

    Raises:
        FileError: it cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike):
        made = [p for p in (Path(path), *Path(path).parents) if not p.exists()]
        self.path = make_folder(path)
        self._made = made
        self._frames = self.path / ".frames"
        self._rows: list[dict[str, float | int]] = []

    @classmethod
    def new(cls, root: str | os.PathLike, name: str) -> RunFolder:
        """Create ``root/name``, or ``root/name-2``, ``-3``, … if that exists."""
        made = [p for p in (Path(root), *Path(root).parents) if not p.exists()]
        make_folder(root)
        number = 1
        while True:
            path = Path(root) / (name if number == 1 else f"{name}-{number}")
            try:
                path.mkdir()
                folder = cls(path)
                folder._made = [path, *made]
                return folder
            except FileExistsError:
                number += 1
            except OSError as error:
                raise FileError(f"cannot create {path}: {error.strerror or error}") from error

    def discard(self) -> None:
        """Remove the folders this object made, as far as they are empty."""
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    @property
    def checkpoint(self) -> Path:
        """Where the state of the run is kept."""
        return self.path / "checkpoint.safetensors"

    def save_image(self, image: Tensor, name: str, metadata: Mapping[str, str]) -> Path:
        """Save ``[1, 3, H, W]`` as an 8-bit PNG with `metadata` as text chunks."""
        path = self.path / name
        with atomic(path) as temporary:
            to_pil(image).save(temporary, pnginfo=_png_text(metadata))
        return path

    def save_sheet(self, images: Tensor, labels: Sequence[str]) -> Path:
        """Save pictures ``[B, 3, H, W]`` side by side with their labels as ``sheet.png``."""
        path = self.path / "sheet.png"
        # small pictures are not enlarged, and thousands not laid out at full size
        tile = max(96, min(256, max(images.shape[-2:]), SHEET_SIDE // round(len(images) ** 0.5)))
        sheet = contact_sheet([to_pil(image) for image in images], labels, tile=tile)
        with atomic(path) as temporary:
            sheet.save(temporary)
        return path

    def save_extras(self, extras: Mapping[str, str | bytes]) -> None:
        """Save the files of `Generator.artefacts`."""
        for name, content in extras.items():
            write(self.path / name, content)

    def add_step(self, step: Step) -> None:
        """Remember a row of ``steps.csv``; written by `save_steps`."""
        row = {"step": step.index, "loss": step.loss, "score": step.score}
        self._rows.append(row | {f"loss_{k}": v for k, v in step.terms.items()})

    def save_steps(self) -> None:
        """Write ``steps.csv``."""
        names = list(dict.fromkeys(name for row in self._rows for name in row)) or ["step"]
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self._rows)
        write(self.path / "steps.csv", text.getvalue())

    def load_steps(self, done: int) -> None:
        """Take up the rows and frames of an earlier process, up to step `done`."""
        path = self.path / "steps.csv"
        if path.is_file():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [{k: float(v) for k, v in row.items() if v} for row in csv.DictReader(file)]
            self._rows = [row | {"step": int(row["step"])} for row in rows if row["step"] < done]
        for index, frame in self._frame_files():
            if index >= done:
                frame.unlink(missing_ok=True)

    def add_frame(self, image: Tensor, index: int) -> None:
        """Keep ``[1, 3, H, W]`` as the video frame of step `index`."""
        self._frames.mkdir(exist_ok=True)
        with atomic(self._frames / f"{index:06d}.jpg") as temporary:
            to_pil(image).save(temporary, quality=95, subsampling=0)

    def save_video(self, kind: str, fps: float, *, keep: bool = False) -> Path | None:
        """Encode the frames as ``progress.mp4`` or ``progress.gif``.

        Then they are deleted, unless `keep`: a run that will go on needs them.
        """
        frames = [frame for _, frame in self._frame_files()]
        path = None
        if kind != "none" and frames:
            path = self.path / f"progress.{kind}"
            save_video(path, frames, fps)
        if not keep:
            shutil.rmtree(self._frames, ignore_errors=True)
        return path

    def save_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write ``manifest.toml``; entries that are None are left out."""
        import tomli_w

        write(self.path / "manifest.toml", tomli_w.dumps(_without_none(manifest)))

    def _frame_files(self) -> list[tuple[int, Path]]:
        if not self._frames.is_dir():
            return []
        found = [(FRAME.fullmatch(p.name), p) for p in self._frames.iterdir()]
        return sorted((int(match[1]), path) for match, path in found if match)


def read_manifest(path: str | os.PathLike) -> dict[str, Any]:
    """Read the ``manifest.toml`` of a run folder, or the file itself.

    Raises:
        FileError: missing or not TOML.
    """
    try:
        import tomllib
    except ModuleNotFoundError:  # Python 3.10
        import tomli as tomllib
    path = Path(path)
    path = path / "manifest.toml" if path.is_dir() else path
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FileError(f"cannot read the manifest {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FileError(f"{path} is not a manifest: {error}") from error


def save_video(path: str | os.PathLike, frames: Sequence[Path], fps: float) -> None:
    """Encode image files as MP4 (H.264, plays everywhere) or GIF, by the suffix of `path`.

    All frames take the size of the first one; H.264 needs even sides, so an odd one loses a pixel.
    """
    import imageio
    import numpy as np

    with Image.open(frames[0]) as first:
        size = (first.width - first.width % 2, first.height - first.height % 2)
    if Path(path).suffix == ".gif":
        options = {"format": "GIF", "duration": 1000 / fps, "loop": 0}
    else:
        options = {
            "format": "FFMPEG",
            "fps": fps,
            "codec": "libx264",
            "quality": 8,
            "macro_block_size": 2,
            "pixelformat": "yuv420p",
            "output_params": ["-movflags", "+faststart"],
            "ffmpeg_log_level": "error",
        }
    with atomic(path) as temporary, imageio.get_writer(temporary, **options) as writer:
        for frame in frames:
            with Image.open(frame) as image:
                writer.append_data(np.asarray(image.convert("RGB").crop((0, 0, *size))))


def contact_sheet(
    images: Sequence[Image.Image], labels: Sequence[str], *, tile: int = 224, columns: int = 0
) -> Image.Image:
    """Lay out images in a grid with a label under each.

    Args:
        tile: side of the square each image is fitted into, pixels.
        columns: 0 means about as many as rows.
    """
    if not images or len(images) != len(labels):
        raise InputError("a contact sheet needs at least one image and a label for each")
    columns = columns or max(1, round(len(images) ** 0.5 + 0.4))
    margin, strip = max(4, tile // 28), max(18, tile // 10)
    font = ImageFont.load_default(size=strip * 0.62)
    rows = -(-len(images) // columns)
    step_x, step_y = tile + margin, tile + strip + margin
    sheet = Image.new("RGB", (columns * step_x + margin, rows * step_y + margin), "white")
    draw = ImageDraw.Draw(sheet)
    for place, (image, label) in enumerate(zip(images, labels, strict=True)):
        left = margin + place % columns * step_x
        top = margin + place // columns * step_y
        small = image.convert("RGB")
        small.thumbnail((tile, tile), Image.Resampling.LANCZOS)
        sheet.paste(small, (left + (tile - small.width) // 2, top + (tile - small.height) // 2))
        while label and draw.textlength(label, font) > tile:
            label = label[:-2] + "…" if len(label) > 2 else ""
        draw.text((left, top + tile + strip * 0.1), label, "black", font)
    return sheet


def _png_text(metadata: Mapping[str, str]) -> PngInfo:
    info = PngInfo()
    for key, value in metadata.items():
        info.add_itxt(key, value)
    return info


def _without_none(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {k: _without_none(v) for k, v in value.items() if v is not None}
    if isinstance(value, list | tuple):
        return [_without_none(v) for v in value]
    return str(value) if isinstance(value, Path) else value
