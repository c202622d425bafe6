"""The options of every command that scores finished images, and their order on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from guidance.command.arguments import HELP, table
from guidance.command.cli import alias
from guidance.command.launch import Command
from guidance.embeddings.check import check_all


@dataclass(frozen=True, kw_only=True)
class ScoringOptions:
    """Which images, which CLIP, and how they are worked through."""

    recursive: Annotated[bool, alias("-r")] = False
    """Look into the folders of the folders as well."""
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
    store: str | None = None
    """Folder that keeps the embeddings of image files, so that none is computed twice."""
    engine: Literal["local", "ray"] = "local"
    """Where images are embedded: on this machine, or on a Ray cluster."""
    ray_address: str | None = None
    """Address of the cluster, "auto" for the one this machine is part of; the default starts one
    here."""
    quiet: Annotated[bool, alias("-q")] = False
    """No progress bar, no list of skipped files, no notes of what was written."""

    def check(self) -> None:
        """Raise `InputError` or `FileError` for what can be told at once; load nothing."""

    def check_embedding(self) -> None:
        """Raise `InputError` or `FileError` for what no images can be embedded with."""
        check_all([], self.batch, self.workers, self.store, self.engine)


def command(
    name: str, options: type[ScoringOptions], several: Sequence[str] = ()
) -> Command[ScoringOptions]:
    """Return a command line whose paths and options may be mixed.

    Args:
        name: behind "python -m guidance.": a technique, or one and a kind, ``"look heat"``. The
            work is the function of that last name in ``technique.py``.
        several: names of the options that take all values up to the next option.
    """

    def base(arguments: list[str]) -> None:
        arguments[:] = options_first(spread(arguments, several), flags_of(options))

    technique, *kind = name.split()
    work = f"guidance.{technique}.technique:{(*kind, technique)[0]}"
    return Command(name, options, work, base=base)


def flags_of(options: type) -> frozenset[str]:
    """Return the names of the options without a value, as they are typed; each has a ``--no-``."""
    known = table(options)
    names = {name for name, option in known.items() if not option.hints}
    return frozenset(HELP) | {n for n in names if "--" + n.removeprefix("--no-") not in names - {n}}


def spread(arguments: Sequence[str], names: Sequence[str]) -> list[str]:
    """Let options take all values up to the next option.

    Example:
        >>> spread(["a.png", "--labels", "a dog", "a cat", "-q"], ["--labels"])
        ['a.png', '--labels', 'a dog', '--labels', 'a cat', '-q']
    """
    found: list[str] = []
    name, first = "", False
    for place, argument in enumerate(arguments):
        if argument == "--":
            return [*found, *arguments[place:]]
        if argument.startswith("-") and len(argument) > 1 and not first:
            name = argument if argument in names else ""
            first = bool(name)  # what follows it is its value, whatever it looks like
        else:
            if name and not first:
                found.append(name)
            first = False
        found.append(argument)
    return found


def options_first(arguments: Sequence[str], flags: frozenset[str]) -> list[str]:
    """Move the positional arguments behind the options, so that both may be mixed.

    Only for commands whose options take one value each, or none (`flags`).

    Example:
        >>> options_first(["a fox", "photos", "--top", "3", "-r", "more"], frozenset(["-r"]))
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
            name = argument.replace("_", "-")
            if "=" not in argument and not {name, name.replace("--no-", "--", 1)} & flags:
                options += [value for value in [next(rest, None)] if value is not None]
    return [*options, "--", *positional] if positional else options
