"""The options of DALL·E."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated, Literal

from guidance.clip.names import parse_specs
from guidance.command.cli import alias
from guidance.command.options import GuidedOptions, check_files
from guidance.conventions import MAX_SEED, check_range
from guidance.errors import InputError
from guidance.images.fitting import Size, check_mask, shape_of, tell_crop
from guidance.images.masks import read_mask
from guidance.models.dalle.names import Grid, check_dalle, dalle_grid
from guidance.prompts.grammar import Prompt as ParsedPrompt


@dataclass(frozen=True, kw_only=True)
class DalleOptions(GuidedOptions):
    """Write a prompt as pictures of codes, one after another, and keep the best of them by CLIP.

    (DALL·E, Ramesh et al. 2021, arXiv:2102.12092.) Leaves the best as image.png, image-2.png, …, a
    sheet of them, the curve of what more samples bring, and a progress video in a folder under
    outputs/. "--from FOLDER" starts from the options of an earlier run, "--resume FOLDER"
    continues one.
    """

    model: Annotated[str, alias("--dalle")] = "mini"
    """Model: "mini"; a dalle.safetensors of guidance.train.dalle; a folder or repository of DALL·E
    mini or mega in min-dalle's files."""
    number: Annotated[int, alias("-n")] = 32
    """Pictures to sample, of different seeds: --seed, the next one, …"""
    batch: int = 16
    """Pictures at once in the model; fewer need less memory and give the same pictures."""
    best: int = 8
    """How many of them are saved."""
    rerank: bool = True
    """Save the best by CLIP (--clip, which may be another one than the model was trained with);
    otherwise the first."""
    judge: str | None = None
    """A second CLIP, named as for --clip, that orders nothing but scores the same pictures: whether
    what the first one picks is better in its eyes too."""

    steps: Annotated[int, alias("-i", "--iterations")] = 16
    """Steps that each batch is written in, of equally many codes; 16 are the rows of mini."""
    cfg: Annotated[float | None, alias("--supercondition")] = None
    """Classifier-free guidance: 1 follows the prompt as the model does, more exaggerates it, 0
    ignores it; by default what suits the model. --negative takes the place of the empty prompt."""
    temperature: float = 1.0
    """Below 1 for likelier codes, 0 for the likeliest alone, above 1 for odder ones."""
    top_k: int = 256
    """Draw from so many of the likeliest codes; 0 draws from all."""
    top_p: float = 1.0
    """Draw from the likeliest codes that together have this share of the chances."""

    init: Annotated[str | None, alias("-ii", "--init-image")] = None
    """Image whose beginning stays (--rows), or all but what a --mask marks; it is cropped to the
    shape of the model's pictures, and stays as the model's codes paint it."""
    rows: int | None = None
    """Rows of codes of the init image that stay, from the top; the model writes on below them."""
    mask: str | None = None
    """Image of the init image's shape that is white where to write, or a brush on a transparent
    layer, or a photo with a hole there."""

    cuts: Annotated[int, alias("-cuts", "--num-cuts")] = 1
    """Crops of a finished picture that CLIP looks at for the score in the progress."""
    overview: int = 1
    """How many of the cuts show the whole picture."""
    augment: Annotated[tuple[str, ...], alias("-aug")] = ()
    """Augmentations of the cuts: perspective, affine, flip, colour, noise, erase."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the model, its decoder and the CLIP image towers."""
    save_every: Annotated[int, alias("-se")] = 16
    """Steps between checkpoints; a killed run is continued with --resume FOLDER."""

    def check(self) -> None:
        """Raise `InputError`, `FileError` or `ModelError` for what is not allowed; load nothing."""
        check_range("number", self.number, 1, 1024)
        check_range("batch", self.batch, 1)
        check_range("steps", self.steps, 1, 2**16)
        super().check()
        check_range("best", self.best, 1)
        check_range("seed", self.seed, 0, MAX_SEED - self.number + 1)
        if self.cfg is not None:
            check_range("cfg", self.cfg, 0, 100)
        check_range("temperature", self.temperature, 0, 100)
        check_range("top_k", self.top_k, 0)
        check_range("top_p", self.top_p, 0, 1, above=True)
        if self.judge is not None:
            parse_specs(self.judge)
            if not self.rerank:
                raise InputError("--judge compares with --rerank; leave --no-rerank out")
        for prompt in self.prompts():
            if prompt.start or prompt.end is not None:
                raise InputError(
                    f"a picture is written for its prompt as a whole, so a schedule or story "
                    f"cannot be used: {prompt.text!r}"
                )
        self._check_start()
        check_dalle(self.model)
        if (grid := dalle_grid(self.model)) is not None:  # else it is known once it is loaded
            self.accept(grid)

    def _check_start(self) -> None:
        check_files(init=self.init, mask=self.mask)
        for name in ("rows", "mask"):
            if getattr(self, name) is not None and self.init is None:
                raise InputError(f"--{name} needs --init IMAGE, of which a part stays")
        if self.rows is not None and self.mask is not None:
            raise InputError("--rows and --mask contradict each other; give one of them")
        if self.init is not None and self.rows is None and self.mask is None:
            raise InputError("--init needs --rows N, the rows that stay, or --mask IMAGE")
        if self.rows is not None:
            check_range("rows", self.rows, 1)
        if self.mask is not None:
            read_mask(self.mask)

    def accept(self, grid: Grid) -> None:
        """Raise `InputError` for files or rows that do not fit pictures of such codes."""
        if self.mask is not None and self.init is not None:
            check_mask(self.mask, self.init, grid.size)
        if self.rows is not None and self.rows >= grid.rows:
            raise InputError(
                f"rows must be less than the {grid.rows} of {self.model} but is {self.rows}"
            )

    def total(self) -> int:
        """Return the number of steps of the loop."""
        return self.steps * -(-self.number // self.batch)

    def seeds(self) -> tuple[int, ...]:
        """Return the seed of each picture."""
        return tuple(self.seed + number for number in range(self.number))

    def told(self) -> tuple[ParsedPrompt, ...]:
        """Return the prompts that the model is told: those that were given.

        The subjects that CLIP is shown besides would only blur them.
        """
        return replace(self, subject=0.0).prompts()

    def notes(self, size: Size) -> list[str]:
        """Return lines about what differs from what the options say."""
        lines: list[str] = []
        if self.init is not None:
            lines += tell_crop("--init", self.init, shape_of(self.init), size)
        if any(p.kind == "image" for p in self.told()):
            lines.append("image prompts: the model reads texts alone; CLIP ranks by the images too")
        return lines
