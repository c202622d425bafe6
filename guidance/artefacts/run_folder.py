"""Step → files: the run folder, PNG with its recipe inside, progress video, contact sheet.

A run folder holds ``image.png``, ``steps.csv``, ``manifest.toml``, ``progress.mp4`` or ``.gif``,
``checkpoint.safetensors`` and the extras of its technique. Every file appears whole or not at all.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL.PngImagePlugin import PngInfo
from torch import Tensor

from guidance.artefacts.frames import Frames
from guidance.artefacts.lock import FolderLock
from guidance.artefacts.picture import save_picture
from guidance.artefacts.rows import StepRows
from guidance.artefacts.sheet import contact_sheet
from guidance.errors import FileError
from guidance.files.writing import atomic, make_folder, remove_leftovers, write
from guidance.images import to_pil

MAIN = ("image.png", "steps.csv", "checkpoint.safetensors")  # what every run leaves
SOME = ("drawing.svg", "progress.mp4", "progress.gif", "sheet.png", "tries.png")  # what some leave
SHEET_SIDE = 4096  # pixels, about, of a contact sheet of very many pictures
TRY_SIDE = 256  # of a rough picture


class RunFolder:
    """The folder of one run.

    Args:
        path: created if it does not exist.

    Attributes:
        rows: of ``steps.csv``.
        frames: of the video to be.
        tries: rough pictures, of the sheet to be.

    Raises:
        FileError: it cannot be created or written.
    """

    def __init__(self, path: str | os.PathLike):
        made = [p for p in (Path(path), *Path(path).parents) if not p.exists()]
        self.path = make_folder(path)
        self.rows = StepRows(self.path / "steps.csv")
        self.frames = Frames(self.path / ".frames")
        self.tries = Frames(self.path / ".tries")
        self._made = made
        self._fresh = False
        self._lock = FolderLock(self.path)

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

    def claim(self, *, resume: bool) -> None:
        """Keep other runs out of the folder until `release`; remove what a killed one left.

        Args:
            resume: continue the run of the folder; else it must hold none.

        Raises:
            FileError: another run is at work here, or was; or something else is in the way.
        """
        left = self._lock.acquire()
        try:
            if os.path.lexists(self.manifest) and not resume:
                raise FileError(
                    f"{self.path} already holds a run; continue it with --resume {self.path} or "
                    "name another folder"
                )
            self.frames.check()
            self.tries.check()
            for name in (self.manifest.name, *MAIN):
                if (self.path / name).is_dir():
                    raise FileError(f"{self.path / name} is a folder where a run keeps a file")
            own = (
                [] if resume or left else [n for n in MAIN + SOME if os.path.lexists(self.path / n)]
            )
            if own:
                raise FileError(
                    f"{self.path} holds {own[0]} already, which a run would replace; name another "
                    "folder"
                )
            if left or resume:
                remove_leftovers(self.path)
            self._fresh = not resume
        except BaseException:
            self._lock.release()
            raise

    def release(self) -> None:
        """Let other runs into the folder."""
        self._lock.release()

    def discard(self) -> None:
        """Undo what was made for a run that never began, and let others in."""
        with contextlib.suppress(OSError):
            if self._fresh:
                self.manifest.unlink(missing_ok=True)
        self.release()
        with contextlib.suppress(OSError):
            for folder in self._made:
                folder.rmdir()

    @property
    def manifest(self) -> Path:
        """What the run is and how it ended."""
        return self.path / "manifest.toml"

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
        save_picture(path, contact_sheet([to_pil(image) for image in images], labels, tile=tile))
        return path

    def save_tries(self, labels: Sequence[str]) -> None:
        """Put the rough pictures side by side as ``tries.png``, with the labels of their numbers.

        Without any, of a run that has done so before, leave what there is.
        """
        if found := self.tries.pictures():
            pictures, numbers = [picture for _, picture in found], [number for number, _ in found]
            sheet = contact_sheet(pictures, [labels[number] for number in numbers], tile=TRY_SIDE)
            save_picture(self.path / "tries.png", sheet)
        self.tries.remove()

    def save_extras(self, extras: Mapping[str, str | bytes]) -> None:
        """Save the files of `Generator.artefacts`."""
        for name, content in extras.items():
            write(self.path / name, content)

    def save_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Write ``manifest.toml``; entries that are None are left out."""
        import tomli_w

        write(self.manifest, tomli_w.dumps(_without_none(manifest)))


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
