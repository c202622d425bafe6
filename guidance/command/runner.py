"""The command line of a technique: a new run, ``--from`` an earlier one, or ``--resume`` it.

Shared by all guided techniques; a technique gives its options and how to build its generator.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from guidance.artefacts.manifest import read_manifest
from guidance.command import cli
from guidance.command.options import GuidedOptions, from_table
from guidance.command.program import called_as
from guidance.command.record import anchored
from guidance.command.technique import Technique
from guidance.errors import InputError


def command(technique: Technique, argv: Sequence[str] | None = None) -> int:
    """Run a technique from the command line; return the exit code."""
    resumed: list[Path] = []

    def base(arguments: list[str]) -> Any:
        folder = cli.take_option(arguments, "--resume", path=True)
        source = cli.take_option(arguments, "--from", path=True)
        if folder is not None:
            others = [a for a in arguments if a not in ("--quiet", "-q")]
            if source is not None or others:
                raise InputError(
                    f"--resume continues a run as it was and takes no other options, but got "
                    f"{(others or ['--from'])[0]!r}"
                )
            resumed.append(_run_of(folder))
        source = folder if source is None else source
        if source is None:
            return None
        table = read_manifest(source)
        given = table.get("options")
        if table.get("technique") != technique.name or not isinstance(given, dict):
            raise InputError(f"{source} is not the manifest of a {technique.name} run")
        if "versions" in table:  # it is of a run, which had the defaults of its version
            given = getattr(technique.options, "BEFORE", {}) | given
        options = from_table(technique.options, given, source)
        if folder is None:
            options = anchored(options, table)
        return dataclasses.replace(options, output=None, quiet=False)

    def begin(options: GuidedOptions) -> None:
        if not resumed:  # what is refused is told before anything that takes long is imported
            options.check()
        importlib.import_module("guidance.command.run")

    def work(options: GuidedOptions) -> int:
        from guidance.command.run import execute

        return execute(technique, options, resume=resumed[0] if resumed else None)

    return cli.main(
        technique.options,
        work,
        prog=called_as(technique.name),
        argv=argv,
        begin=begin,
        base=base,
        taken=("--resume", "--from"),
    )


def _run_of(path: str) -> Path:
    """Return the folder of a run that is named by itself or by its manifest."""
    return Path(path).parent if Path(path).name == "manifest.toml" else Path(path)
