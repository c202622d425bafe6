"""The options of ``python -m guidance.rerank``."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from guidance.cli import Several, alias
from guidance.errors import FileError, InputError, nearest

# the options without a value; a test compares them with the dataclass
FLAGS = frozenset(
    ("--per-prompt", "--filepath-only", "-f", "--recursive", "-r", "--strict", "--quiet", "-q",
     "--help", "-h")
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class RerankOptions:
    """Order images by how well they fit a prompt, best first.

    The score is the cosine of CLIP's embeddings, from -1 to 1; of several prompts it is the
    weighted mean. Files that cannot be read are skipped and listed at the end.
    """

    inputs: Annotated[
        tyro.conf.Positional[tuple[str, ...]], tyro.conf.arg(metavar="[PROMPT] PATH...")
    ] = ()
    """The prompt ("a fox", "a fox:2 | fog:-0.5"), then images and folders of images. With --prompt
    or --prompts-file, images and folders only."""
    prompt: Annotated[Several[tuple[str, ...]], alias("-p")] = ()
    """Prompt, instead of the first argument; may be repeated."""
    prompts_file: str | None = None
    """File with a prompt on each line; lines that begin with # are comments."""
    negative: Several[tuple[str, ...]] = ()
    """Prompt that should not fit, with an optional weight ("text:0.3"); may be repeated."""
    recursive: Annotated[bool, alias("-r")] = False
    """Look into the folders of the folders as well."""

    top: Annotated[int, alias("-t")] = 8
    """How many to show, copy and draw; 0 means all. CSV and JSON always hold all."""
    per_prompt: bool = False
    """Show a ranking for each prompt instead of one for all together."""
    filepath_only: Annotated[bool, alias("-f")] = False
    """Print the names alone, one a line."""
    copy_to: str | None = None
    """Folder for copies of the best, named 01_0.312_name.png."""
    sheet: str | None = None
    """Picture of the best with rank and score (.png, .jpg or .webp)."""
    csv: str | None = None
    """Table of all ranks and scores, with a column for each prompt if there are several."""
    json: str | None = None
    """The same with prompts, model and skipped files, as JSON."""
    strict: bool = False
    """End with exit code 1 if a file had to be skipped."""

    clip: Annotated[str, alias("-m", "--clip-model")] = "mini"
    """CLIP models: "mini", "ViT-B-32/laion2b_s34b_b79k", "ViT-B-32=file.pt", "mini,RN50/openai"."""
    device: str = "auto"
    """auto (CUDA, then MPS, then CPU), cpu, cuda, cuda:N or mps."""
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    """Arithmetic of the CLIP image towers; bf16 suits vision transformers."""
    batch: Annotated[int, alias("-b", "--batch-size")] = 32
    """Images scored at once; changes speed and memory, not the result."""
    workers: Annotated[int, alias("-j")] = 2
    """Threads that decode images ahead of the scoring."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar, no list of skipped files, no notes of what was written."""

    def split(self) -> tuple[list[str], list[str]]:
        """Return the prompts as texts, and the paths.

        Raises:
            InputError: either is missing.
            FileError: the file of prompts cannot be read.
        """
        prompts, paths = list(self.prompt), list(self.inputs)
        if self.prompts_file is not None:
            prompts += read_prompts(self.prompts_file)
        elif not prompts and paths:
            prompts.append(paths.pop(0))
            if Path(prompts[0]).is_dir():
                raise InputError(
                    f"the prompt comes before the images but {prompts[0]!r} is a folder"
                )
        if not prompts or not all(p.strip() for p in prompts):
            raise InputError("a prompt is needed, as in: rerank PROMPT PATH...")
        if not paths:
            raise InputError("images or folders are needed after the prompt")
        return prompts, paths


def read_prompts(path: str) -> list[str]:
    """Return the lines of a text file without blank ones and ``#`` comments.

    Raises:
        FileError: it is missing, not UTF-8, or holds no prompt.
    """
    file = Path(path)
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except FileNotFoundError:
        raise FileError(missing(file)) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise FileError(f"cannot read the prompts in {path}: {reason}") from error
    prompts = [line for line in lines if line and not line.startswith("#")]
    if not prompts:
        raise FileError(f"{path} holds no prompts, one a line")
    return prompts


def missing(path: Path) -> str:
    """Return the message for a path that does not exist, with the nearest names beside it."""
    try:
        beside: Iterable[str] = [p.name for p in path.parent.iterdir()]
    except OSError:
        beside = []
    return f"{path} does not exist{nearest(path.name, beside)}"


def options_first(arguments: list[str]) -> list[str]:
    """Move the positional arguments behind the options, so that both may be mixed.

    Example:
        >>> options_first(["a fox", "photos", "--top", "3", "-r", "more"])
        ['--top', '3', '-r', '--', 'a fox', 'photos', 'more']
    """
    options: list[str] = []
    positional: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if argument == "--":
            positional += rest
        elif not argument.startswith("-") or argument == "-":
            positional.append(argument)
        else:
            options.append(argument)
            if "=" not in argument and argument.replace("_", "-") not in FLAGS:
                options += [value for value in [next(rest, None)] if value is not None]
    return [*options, "--", *positional] if positional else options
