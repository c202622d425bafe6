"""One run in its folder: loop → progress bar, checkpoints, artefacts; new or continued."""

from __future__ import annotations

import contextlib
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

from guidance.artefacts.manifest import read_manifest
from guidance.artefacts.run_folder import TRY_SIDE, RunFolder
from guidance.command.beginning import Beginning
from guidance.command.interrupts import Interrupts
from guidance.command.options import GuidedOptions
from guidance.command.program import called_as, command_name
from guidance.command.progress import Progress, progress
from guidance.command.record import Record, option_table, versions, where_started
from guidance.command.technique import Technique
from guidance.errors import DivergedError, FileError, GuidanceError, counted
from guidance.files.writing import printable
from guidance.objective.prompted import Objective
from guidance.prompts.grammar import parse_prompts
from guidance.prompts.slug import run_name
from guidance.prompts.story import said_once
from guidance.step import checkpoint
from guidance.step.generator import Generator
from guidance.step.loop import Step, run
from guidance.step.tries import Tries

O = TypeVar("O", bound=GuidedOptions)  # noqa: E741


def execute(technique: Technique[O], options: O, *, resume: Path | None = None) -> int:
    """Run a technique into a run folder, new or continued; return the exit code.

    0 after a whole run, 1 if it diverged, 130 after Ctrl-C; in each case the folder holds the
    artefacts of the last step.

    Args:
        options: checked, unless a run is continued: names of files in them start where it was.
        resume: the folder of a run that is continued.
    """
    with Interrupts() as interrupts:
        if resume is None:
            return _Run(technique, options, _new_folder(technique, options)).work(interrupts)
        folder = RunFolder(resume.absolute())
        folder.claim(resume=True)
        try:
            earlier = read_manifest(folder.path)
            with where_started(earlier):
                options.check()
                return _Run(technique, options, folder, earlier).work(interrupts)
        finally:
            folder.release()


def _new_folder(technique: Technique, options: GuidedOptions) -> RunFolder:
    """Return a folder that is claimed for a new run."""
    if options.output is None:
        prompts = parse_prompts(options.scenes(), every=1)
        texts = said_once((p.text for p in prompts), options.scene_prefix, options.scene_suffix)
        folder = RunFolder.new("outputs", run_name(technique.name, texts, options.seed))
    else:
        folder = RunFolder(options.output)
    try:
        folder.claim(resume=False)
    except FileError:
        folder.discard()
        raise
    return folder


class _Run(Generic[O]):
    """A run in its folder, which is claimed; `work` gives it back.

    Args:
        earlier: the manifest, of a run that is continued.
    """

    def __init__(
        self,
        technique: Technique[O],
        options: O,
        folder: RunFolder,
        earlier: Mapping[str, Any] | None = None,
    ):
        self._technique, self._options, self._folder = technique, options, folder
        self._resumed = earlier is not None
        self._record = Record(technique, options, folder, earlier)
        self._called = command_name(called_as(technique.name))
        self._total = options.total()
        self._done = 0
        self._beginning = Beginning(technique, options, earlier)
        self._tries: Tries | None = None  # that are left to be made
        self._generator: Generator
        self._objective: Objective

    def work(self, interrupts: Interrupts) -> int:
        """Do everything; return the exit code."""
        try:
            interrupts.leave_at_once(self._folder.discard)
            self._prepare()
            interrupts.stop_after_step()
        except BaseException:
            self._folder.discard()
            raise
        try:
            status = self._make_steps(interrupts)
            interrupts.stop_now()
            self._note(status, self._finish(status))
        except BaseException as error:
            # Ctrl-C may also have ended the program that encodes the video, which is an error then
            stopped = interrupts.raised or isinstance(error, KeyboardInterrupt)
            with contextlib.suppress(GuidanceError):  # of a full disk: what went wrong is said
                self._note("interrupted" if stopped else "failed")
            if stopped:
                raise KeyboardInterrupt from error
            raise
        finally:
            self._folder.release()
        if not self._options.quiet:
            steps = counted(self._total, "step")
            print(f"{status} after {self._done} of {steps}: {self._folder.path}")
        return {"finished": 0, "diverged": 1, "interrupted": 130}[status]

    def _prepare(self) -> None:
        """Load everything, and take up what an earlier process has done."""
        folder = self._folder
        if not self._resumed:  # from now on the run can be resumed
            self._note("running")
        begun = self._resumed and os.path.lexists(folder.checkpoint)
        begun = begun and self._beginning.decided  # else it is of a try that is not known
        if self._beginning.several and not begun:
            self._tries = self._beginning.tries(self._judged)
            self._generator, self._objective = self._tries.generator, self._tries.objective
        else:
            self._generator, self._objective = self._technique.prepare(self._start())
        for note in () if self._options.quiet else self._generator.notes:
            print(printable(f"{self._called}: {note}"), file=sys.stderr)
        if self._resumed:
            if begun:
                self._done = checkpoint.load(
                    folder.checkpoint, self._generator, self._fingerprint(), self._total
                )
            folder.rows.load(self._done)
            folder.frames.cut(self._done)
            folder.tries.cut(len(self._beginning.scores))
            self._note("running")

    def _make_steps(self, interrupts: Interrupts) -> str:
        """Go through the steps; return how they ended."""
        tries, self._tries = self._tries, None
        left = self._total - self._done + (0 if tries is None else tries.left - tries.plan.rough)
        total = self._total + self._beginning.more
        with progress(total, left, quiet=self._options.quiet) as bar:
            try:
                if tries is not None and not self._choose(tries, bar, interrupts):
                    return "interrupted"
                for step in run(self._generator, self._objective, self._total, start=self._done):
                    self._done = step.index + 1
                    bar.show(step)
                    self._keep(step)
                    if interrupts.asked and self._done < self._total:
                        return "interrupted"
            except DivergedError as error:
                print(f"{self._called}: error: {error}", file=sys.stderr)
                return "diverged"
        return "finished"

    def _choose(self, tries: Tries, bar: Progress, interrupts: Interrupts) -> bool:
        """Make the tries and take up the best one's steps; return False if interrupted before."""
        count = tries.plan.count
        for step in tries.go():
            self._generator = step.generator
            bar.show(step, f"try {tries.number + 1} of {count}")
            if interrupts.asked:
                return False
        self._generator, self._objective = tries.generator, tries.objective
        self._folder.save_tries(self._beginning.labels())
        if not self._options.quiet:
            bar.say(f"try {tries.kept + 1} of {count} fits best and goes on")
        for step in tries.again():
            self._done = step.index + 1
            self._keep(step)
        self._save()  # so that nothing is tried again
        return True

    def _judged(self, number: int, generator: Generator) -> None:
        """Keep a rough picture and what is known of the tries."""
        size = self._technique.final_size(self._options) or generator.final_size
        self._folder.tries.add(generator.render(*_fit(size, TRY_SIDE))[:1], number)
        self._note("running")

    def _start(self) -> O:
        """Return the options of what is finished."""
        return self._beginning.starts[self._beginning.kept]

    def _note(self, status: str, facts: Mapping[str, Sequence[Any]] | None = None) -> None:
        """Write the manifest."""
        self._record.save(status, self._done, facts, self._beginning.table())

    def _keep(self, step: Step) -> None:
        """Keep row, frame and, every so often, the checkpoint of a step."""
        options, folder = self._options, self._folder
        folder.rows.add(step)
        if options.video != "none" and options.shows(step.index):
            height, width = self._technique.final_size(options) or step.image.shape[-2:]
            frame = step.generator.frame(*_fit((height, width), options.video_size))
            folder.frames.add(frame, step.index)
        if self._done % options.save_every == 0 and self._done < self._total:
            self._save()

    def _save(self) -> None:
        """Write all that is needed to go on from here."""
        self._folder.rows.save()  # first: those past the checkpoint are dropped, not missed
        self._save_state()
        self._note("running")

    def _finish(self, status: str) -> Mapping[str, Sequence[Any]]:
        """Write all that a run leaves behind except the manifest; return facts of the pictures."""
        options, folder, generator = self._options, self._folder, self._generator
        folder.rows.save()
        if self._done:  # else there are rough pictures only, which are begun anew
            self._save_state()
        images = generator.render(*(self._technique.final_size(options) or generator.final_size))
        arranged = self._technique.arrange(options, images)
        images = images[list(arranged.order)]
        text = self._png_text() | self._beginning.facts()
        for number, image in enumerate(images):
            facts = {name: str(values[number]) for name, values in arranged.facts.items()}
            name = "image.png" if number == 0 else f"image-{number + 1}.png"
            folder.save_image(image, name, text | facts)
        if arranged.labels:
            folder.save_sheet(images, arranged.labels)
        folder.save_extras(generator.artefacts())
        for name, write in arranged.files.items():
            write(folder.path / name)
        if options.video != "none":
            folder.frames.save(folder.path / f"progress.{options.video}", options.speed())
        if status == "finished":  # a run that may go on needs them
            folder.frames.remove()
        return arranged.facts

    def _save_state(self) -> None:
        checkpoint.save(self._folder.checkpoint, self._generator, self._done, self._fingerprint())

    def _fingerprint(self) -> str:
        return self._technique.fingerprint(self._start())

    def _png_text(self) -> dict[str, str]:
        """Return what goes inside the pictures: nothing that may differ between equal ones."""
        recipe, known = option_table(self._options), versions(self._technique.package)
        made = {
            "technique": self._technique.name,
            "options": {k: v for k, v in recipe.items() if k not in ("output", "quiet")},
            "versions": known,
        }
        return {
            "Software": f"guidance {known['guidance']}",
            "prompt": self._options.prompt,
            "guidance": json.dumps(made, ensure_ascii=False, sort_keys=True),
        }


def _fit(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Scale `size` to a longer side of `longer`, both sides even as video needs."""
    scale = longer / max(size)
    height, width = (max(2, 2 * round(side * scale / 2)) for side in size)
    return height, width
