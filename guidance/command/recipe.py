"""What programs that put techniques together share: a command line, a folder, a contact sheet.

The smallest recipe, a file of its own, run as ``python twice.py "a fox at sunrise"``::

    from dataclasses import dataclass
    from pathlib import Path

    import guidance
    from guidance.command import cli, recipe


    @dataclass(frozen=True, kw_only=True)
    class Options:
        \"\"\"Draw a prompt with few and with many strokes.\"\"\"

        prompt: cli.Prompt
        \"\"\"What to draw.\"\"\"
        output: recipe.Output = None


    def twice(options: Options) -> Path:
        folder = recipe.Folder(options.output, "twice", options.prompt)
        for strokes in (16, 256):
            step = recipe.last(guidance.draw(options.prompt, strokes=strokes))
            folder.save(f"{strokes}.png", step.generator.render(512, 512))
        return folder.sheet("both.png", folder.pictures, ["few", "many"], tile=384)


    if __name__ == "__main__":
        recipe.main(Options, twice, __file__)

Nothing here loads PyTorch before a picture is there, so that ``--help`` answers at once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn, TypeVar

import tyro

from guidance.command import cli
from guidance.errors import InputError
from guidance.files.writing import make_folder, write
from guidance.prompts.slug import slug

if TYPE_CHECKING:
    from PIL import Image
    from torch import Tensor

    from guidance.step.loop import Step

    Picture = Tensor | Image.Image | str | Path  # [3, H, W] or [1, 3, H, W] in [0, 1], or a file's

T = TypeVar("T")

Output = Annotated[
    str | None, tyro.conf.arg(help="Folder; by default a new one under outputs/.")
]  # of the options of a recipe


def main(options: type[T], work: Callable[[T], Path], file: str) -> NoReturn:
    """Run a recipe from the command line, print the path that it returns, and end the program.

    Args:
        options: a frozen dataclass; its docstring is the description.
        work: does what the recipe is for; returns the path of the contact sheet.
        file: of the recipe, its ``__file__``; its folder and name stand before messages.

    Raises:
        SystemExit: with the exit codes of `guidance.command.cli.main`.
    """
    path = Path(file).absolute()
    prog = f"python {path.parent.name}/{path.name}"
    raise SystemExit(cli.main(options, lambda given: print(work(given)), prog=prog))


def last(steps: Iterable[Step]) -> Step:
    """Take all steps of a run and return the last one.

    Raises:
        InputError: there is none.
    """
    step = None
    for step in steps:
        pass
    if step is None:
        raise InputError("a run has at least one step")
    return step


class Folder:
    """Where a recipe puts its files: made with the first of them, for what is refused leaves none.

    Args:
        output: the folder that was asked for; None means ``outputs/KIND-WORDS``.
        kind: what the recipe makes, such as "best-of".
        words: what of, such as the prompt.

    Attributes:
        path: of the folder.
        pictures: saved so far.
    """

    def __init__(self, output: str | None, kind: str, words: str):
        self.path = Path(output or Path("outputs") / f"{kind}-{slug(words)}")
        self.pictures: list[Image.Image] = []

    def save(self, name: str, picture: Picture) -> Path:
        """Save a picture and return the path of the file.

        Raises:
            FileError: the folder cannot be made or written.
        """
        self.pictures.append(_pil(picture))
        path = make_folder(self.path) / name
        self.pictures[-1].save(path)
        return path

    def write(self, name: str, content: str | bytes) -> Path:
        """Write a file that is no picture, such as a drawing; return its path.

        Raises:
            FileError: the folder cannot be made or written.
        """
        path = make_folder(self.path) / name
        write(path, content)
        return path

    def sheet(
        self,
        name: str,
        pictures: Sequence[Picture],
        labels: Sequence[str],
        *,
        tile: int = 256,
        columns: int = 0,
    ) -> Path:
        """Save a contact sheet and return its path.

        Args:
            name: of the file.
            pictures: on the sheet.
            labels: one for each.
            tile: side of the square that each is fitted into, pixels.
            columns: 0 means about as many as rows.

        Raises:
            InputError: there is no picture, or not as many labels.
        """
        from guidance.artefacts.sheet import contact_sheet

        drawn = [_pil(picture) for picture in pictures]
        path = make_folder(self.path) / name
        contact_sheet(drawn, labels, tile=tile, columns=columns).save(path)
        return path


def _pil(picture: Picture) -> Image.Image:
    from PIL import Image

    from guidance.images import load_image, to_pil

    if isinstance(picture, Image.Image):
        return picture
    return load_image(picture) if isinstance(picture, str | Path) else to_pil(picture)
