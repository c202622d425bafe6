"""Prompts × a technique → runs in the folder of a sheet, each made once, be it in several calls."""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from guidance.artefacts.manifest import read_manifest
from guidance.command import cli
from guidance.command.options import GuidedOptions
from guidance.command.plugins import load
from guidance.command.program import called_as
from guidance.command.technique import NOT_IN_FINGERPRINT, Technique
from guidance.converting import from_table
from guidance.errors import GuidanceError, InputError
from guidance.evaluate.blind.lists import Wanted
from guidance.evaluate.blind.pictures import Picture
from guidance.prompts.slug import run_name

if TYPE_CHECKING:
    from guidance.evaluate.blind.options import BlindOptions

INTERRUPTED = 130


@dataclass(frozen=True)
class Job:
    """One picture to be made.

    Attributes:
        wanted: what it should show.
        options: of the technique, with prompt, seed and folder.
        folder: of its run.
        state: of the run so far: ``"new"``, ``"begun"`` or ``"done"``.
    """

    wanted: Wanted
    options: GuidedOptions
    folder: Path
    state: str

    @property
    def picture(self) -> Picture:
        """The picture that the run leaves."""
        return Picture(self.folder / "image.png", self.wanted, self.options.seed)


def plan(options: BlindOptions) -> list[Job]:
    """Return what there is to make, in the order of prompts and seeds; nothing is made.

    Raises:
        InputError: the technique's own options are not allowed, or a picture is there that was made
            with others.
        PluginError: there is no such technique.
        PromptError: a prompt does not follow the grammar.
    """
    technique = load(str(options.technique))
    wanted = options.wanted()
    base = _base(technique, options.own, wanted[0].prompt)
    taken: Counter[str] = Counter()
    jobs = []
    for w in wanted:
        for seed in range(options.seed, options.seed + options.each):
            name = run_name(technique.name, [w.prompt], seed)
            taken[name] += 1  # prompts that differ in signs alone have one name
            name = name if taken[name] == 1 else f"{name}-{taken[name]}"
            folder = options.output / "pictures" / name
            own = replace(base, prompt=w.prompt, seed=seed, output=str(folder), quiet=True)
            own.check()
            jobs.append(Job(w, own, folder, _state(technique, own, folder)))
    return jobs


def draw(options: BlindOptions) -> list[Picture] | None:
    """Make all pictures that are not there yet and return all, or None after Ctrl-C.

    A run that diverged leaves its picture too: none is left out of a sheet.
    """
    from tqdm import tqdm

    from guidance.command.run import execute

    technique, jobs = load(str(options.technique)), plan(options)
    left = [job for job in jobs if job.state != "done"]
    bar = tqdm(left, desc=technique.name, unit="picture", disable=options.quiet)
    for done, job in enumerate(bar):
        resume = job.folder if job.state == "begun" else None
        if execute(technique, job.options, resume=resume) == INTERRUPTED:
            bar.close()
            count = len(jobs) - len(left) + done
            print(f"{count} of {len(jobs)} pictures are there; the same command goes on",
                  file=sys.stderr)  # fmt: skip
            return None
    return [job.picture for job in jobs]


def _base(technique: Technique, arguments: tuple[str, ...], prompt: str) -> GuidedOptions:
    """Return the technique's options as they are for every picture."""
    name = technique.name
    try:
        # a video takes time, and nobody looks at it; who wants one says so behind it
        given = ["--video", "none", *arguments, "--", prompt]
        found = cli.parse(technique.options, called_as(name), given)
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    if found.output is not None or found.seed:
        what = "--seed" if found.seed else "--output"
        raise InputError(f"{what} stands before '--': it is that of the sheet, not of one picture")
    return found


def _state(technique: Technique, options: GuidedOptions, folder: Path) -> str:
    """Return how far a run has come.

    Raises:
        InputError: it is one with other options.
    """
    if not (folder / "manifest.toml").is_file():
        return "new"
    manifest = read_manifest(folder)
    table, result = manifest.get("options"), manifest.get("result")
    try:
        there = from_table(technique.options, table if isinstance(table, dict) else {}, str(folder))
    except GuidanceError as error:
        raise InputError(f"{folder} holds another run; name another folder: {error}") from None
    if technique.fingerprint(there) != technique.fingerprint(options):
        differ = _differing(there, options)
        raise InputError(f"{folder} was made with {differ}; name another folder")
    status = result.get("status") if isinstance(result, dict) else None
    done = status in ("finished", "diverged") and (folder / "image.png").is_file()
    return "done" if done else "begun"


def _differing(there: GuidedOptions, wanted: GuidedOptions) -> str:
    """Say in which option two runs of a technique differ, of several the first."""
    ours = asdict(wanted)
    changed = [
        f"--{name.replace('_', '-')} {value}"
        for name, value in asdict(there).items()
        if name not in NOT_IN_FINGERPRINT and value != ours[name]
    ]
    return changed[0] if changed else "other options"
