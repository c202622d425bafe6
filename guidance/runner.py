"""The command-line run: loop → progress bar, checkpoints, run folder; resume and replay.

Shared by all guided techniques; a technique gives its options and how to build its generator.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import platform
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, TypeVar

from guidance import checkpoint, cli
from guidance.artifacts import RunFolder, read_manifest
from guidance.errors import DivergedError, FileError, GuidanceError, InputError, counted
from guidance.files import printable
from guidance.generator import Generator
from guidance.loop import Step, run
from guidance.options import GuidedOptions, from_table
from guidance.prompts import parse_prompts
from guidance.slug import run_name
from guidance.technique import Arrangement, Technique

O = TypeVar("O", bound=GuidedOptions)  # noqa: E741


def command(technique: Technique, argv: Sequence[str] | None = None) -> int:
    """Run a technique from the command line; return the exit code."""
    resumed: list[Path] = []

    def base(arguments: list[str]) -> Any:
        folder = cli.take_option(arguments, "--resume")
        source = cli.take_option(arguments, "--from")
        if folder is not None:
            others = [a for a in arguments if a not in ("--quiet", "-q")]
            if source is not None or others:
                raise InputError(
                    f"--resume continues a run as it was and takes no other options, but got "
                    f"{(others or ['--from'])[0]!r}"
                )
            resumed.append(Path(folder))
        source = folder if source is None else source
        if source is None:
            return None
        table = read_manifest(source)
        if table.get("technique") != technique.name or "options" not in table:
            raise InputError(f"{source} is not the manifest of a {technique.name} run")
        options = from_table(technique.options, table["options"], str(source))
        return dataclasses.replace(options, output=None, quiet=False)

    return cli.main(
        technique.options,
        lambda options: execute(technique, options, resume=resumed[0] if resumed else None),
        prog=f"python -m guidance.{technique.name}",
        argv=argv,
        base=base,
    )


def execute(technique: Technique[O], options: O, *, resume: Path | None = None) -> int:
    """Run a technique into a run folder, new or continued; return the exit code.

    0 after a whole run, 1 if it diverged, 130 after Ctrl-C; in each case the folder holds the
    artefacts of the last step.
    """
    options.check()
    started = time.monotonic()
    folder = RunFolder(resume) if resume else _new_folder(technique, options)
    try:
        generator, objective = technique.prepare(options)
    except GuidanceError:
        folder.discard()
        raise
    for note in () if options.quiet else generator.notes:
        print(printable(f"guidance.{technique.name}: {note}"), file=sys.stderr)
    record = _Record(technique, options, folder)
    record.save("running")
    done = 0
    if folder.checkpoint.is_file():
        done = checkpoint.load(folder.checkpoint, generator, technique.fingerprint(options))
    folder.load_steps(done)
    status, last = "finished", None
    with _interrupts() as interrupted, _progress(options, done) as show:
        try:
            for step in run(generator, objective, options.total(), start=done):
                last = step
                done = step.index + 1
                show(step)
                _keep(technique, options, folder, step)
                if interrupted():
                    status = "interrupted"
                    break
        except DivergedError as error:
            status = "diverged"
            print(f"guidance.{technique.name}: {error}", file=sys.stderr)
    arranged = _finish(technique, options, folder, generator, done, keep=status == "interrupted")
    record.save(status, last, time.monotonic() - started, arranged.facts)
    if not options.quiet:
        print(f"{status} after {done} of {counted(options.total(), 'step')}: {folder.path}")
    return {"finished": 0, "diverged": 1, "interrupted": 130}[status]


def _new_folder(technique: Technique, options: GuidedOptions) -> RunFolder:
    if options.output is None:
        texts = [prompt.text for prompt in parse_prompts(options.scenes(), every=1)]
        return RunFolder.new("outputs", run_name(technique.name, texts, options.seed))
    if (Path(options.output) / "manifest.toml").exists():
        raise FileError(
            f"{options.output} already holds a run; continue it with --resume {options.output} "
            "or name another folder"
        )
    return RunFolder(options.output)


def _keep(technique: Technique, options: GuidedOptions, folder: RunFolder, step: Step) -> None:
    """Keep row, frame and, every so often, the checkpoint of a step."""
    folder.add_step(step)
    last = step.index + 1 == step.steps
    if options.video != "none" and options.shows(step.index):
        size = technique.final_size(options) or step.image.shape[-2:]
        folder.add_frame(step.generator.frame(*_fit(size, options.video_size)), step.index)
    if (step.index + 1) % options.save_every == 0 and not last:
        folder.save_steps()  # first: rows past the checkpoint are dropped on resume, not missed
        _save_checkpoint(technique, options, folder, step.generator, step.index + 1)


def _save_checkpoint(technique, options, folder, generator, done: int) -> None:
    checkpoint.save(folder.checkpoint, generator, done, technique.fingerprint(options))


def _finish(
    technique: Technique,
    options: GuidedOptions,
    folder: RunFolder,
    generator: Generator,
    done: int,
    *,
    keep: bool,
) -> Arrangement:
    """Write everything a run leaves behind except the manifest; `keep` its video frames too."""
    folder.save_steps()
    _save_checkpoint(technique, options, folder, generator, done)
    images = generator.render(*(technique.final_size(options) or generator.final_size))
    arranged = technique.arrange(options, images)
    images = images[list(arranged.order)]
    text = {
        "Software": f"guidance {versions()['guidance']}",
        "prompt": options.prompt,
        "guidance": json.dumps(
            {"technique": technique.name, "options": _recipe(options), "versions": versions()},
            ensure_ascii=False,
            sort_keys=True,
        ),
    }
    for number, image in enumerate(images):
        facts = {name: str(values[number]) for name, values in arranged.facts.items()}
        name = "image.png" if number == 0 else f"image-{number + 1}.png"
        folder.save_image(image, name, text | facts)
    if arranged.labels:
        folder.save_sheet(images, arranged.labels)
    folder.save_extras(generator.artefacts())
    folder.save_video(options.video, options.speed(), keep=keep)
    return arranged


class _Record:
    """The manifest of a run."""

    def __init__(self, technique: Technique, options: GuidedOptions, folder: RunFolder):
        self._folder = folder
        self._table = {
            "technique": technique.name,
            "options": _table(options),
            "versions": versions(),
            "created": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        }

    def save(
        self,
        status: str,
        step: Step | None = None,
        seconds: float | None = None,
        facts: Mapping[str, Sequence[Any]] | None = None,
    ) -> None:
        result = {"status": status, "seconds": None if seconds is None else round(seconds, 1)}
        if step is not None:
            result |= {"steps": step.index + 1, "loss": step.loss, "score": step.score}
        result |= {f"{name}s": list(values) for name, values in (facts or {}).items()}
        self._folder.save_manifest(self._table | {"result": result})


def versions() -> dict[str, str]:
    """Return the versions that decide the bytes of a picture."""
    names = {
        "guidance": "clip-guidance",
        "torch": "torch",
        "open_clip": "open_clip_torch",
        "diffusers": "diffusers",
    }
    found = {"python": platform.python_version()}
    for key, name in names.items():
        try:
            found[key] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[key] = "unknown"
    return found


def _table(options: GuidedOptions) -> dict[str, Any]:
    return {k: v for k, v in dataclasses.asdict(options).items() if v is not None}


def _recipe(options: GuidedOptions) -> dict[str, Any]:
    """Return what goes inside the picture: nothing that may differ between equal pictures."""
    return {k: v for k, v in _table(options).items() if k not in ("output", "quiet")}


def _fit(size: tuple[int, int], longer: int) -> tuple[int, int]:
    """Scale `size` to a longer side of `longer`, both sides even as video needs."""
    scale = longer / max(size)
    return tuple(max(2, 2 * round(side * scale / 2)) for side in size)


@contextlib.contextmanager
def _progress(options: GuidedOptions, done: int) -> Iterator[Callable[[Step], None]]:
    """Give a function that shows a step: a bar with steps per second, ETA and score."""
    from tqdm import tqdm

    with tqdm(
        total=options.total(), initial=done, unit="step", disable=options.quiet, dynamic_ncols=True
    ) as bar:
        said = {"score": math.nan, "loss": math.nan}

        def show(step: Step) -> None:
            # a step in which the objective was not asked leaves what it said last
            said.update({k: v for k in said if math.isfinite(v := getattr(step, k))})
            bar.set_postfix({k: f"{v:.3f}" for k, v in said.items()}, refresh=False)
            bar.update()
            if step.skipped:
                bar.write(f"step {step.index}: not finite, skipped", file=sys.stderr)

        yield show


@contextlib.contextmanager
def _interrupts() -> Iterator[Callable[[], bool]]:
    """Turn the first Ctrl-C (or SIGTERM) into a request to stop after the current step."""
    flag = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield flag.is_set
        return

    def handle(signum: int, frame: object) -> None:
        if flag.is_set():
            raise KeyboardInterrupt
        flag.set()

    before = {s: signal.signal(s, handle) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield flag.is_set
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
