"""Dataclass → command line, and the options every technique shares.

One frozen dataclass a technique is at once its defaults, its ``--help``, its type check, its
recipe and its manifest. Bad input ends with one line on stderr and exit code 2.
"""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
import typing
import warnings
from collections.abc import Callable, Collection, Generator, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from guidance.command.arguments import HELP, check_arguments, is_option, table
from guidance.command.interrupts import raised
from guidance.command.program import command_name
from guidance.errors import GuidanceError, InputError, unknown
from guidance.files.writing import printable

T = TypeVar("T")

# tyro markers used by the options of all techniques
Several = tyro.conf.UseAppendAction  # --negative a --negative b


def alias(*names: str) -> object:
    """Return the annotation that gives an option further names, e.g. those of older tools."""
    return tyro.conf.arg(aliases=[*names])


PROMPTS = ("-p", "--prompt", "--prompts")  # what older tools call the positional one
Prompt = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PROMPT")]


def main(
    options: type[T],
    execute: Callable[[T], int | None],
    *,
    prog: str,
    argv: Sequence[str] | None = None,
    begin: Callable[[T], object] = lambda options: None,
    base: Callable[[list[str]], T | None] = lambda argv: None,
    taken: Sequence[str] = (),
) -> int:
    """Parse `argv` into `options`, call `execute`, and turn errors into exit codes.

    Args:
        options: a frozen dataclass; its docstring is the description.
        execute: does the work; returns the exit code, None for 0.
        prog: shown in the usage line and before messages.
        argv: without the program's name; None means `sys.argv`.
        begin: checks the options and imports what `execute` needs; meanwhile Ctrl-C ends the
            process at once, for an exception out of the middle of an import may be swallowed.
        base: may take arguments such as ``--from FILE`` out of the list and return the options
            that are the defaults of this call.
        taken: the names of these arguments.

    Returns:
        0, or 1 as `execute` says or when memory ran out or the reader of stdout went away, 2 for
        bad input, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = command_name(prog)
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # a terminal that is not UTF-8 shows escapes
            stream.reconfigure(errors="backslashreplace")
    with warnings.catch_warnings(), _notes(name) as notes:
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module=r"guidance\b|__main__")
        warnings.showwarning = lambda message, *_: _say(name, f"warning: {message}")  # type: ignore[bad-assignment]
        try:
            parsed = parse(options, prog, arguments, base(arguments), taken)
            if getattr(parsed, "quiet", False):
                notes.setLevel(logging.WARNING)
            begin(parsed)
            with raised():
                code = execute(parsed) or 0
            sys.stdout.flush()
            return code
        except SystemExit as stop:  # after --help, or as the work says
            return stop.code if isinstance(stop.code, int) else int(bool(stop.code))
        except KeyboardInterrupt:
            print(file=sys.stderr)  # the signal may have cut a progress bar in its line
            _say(name, "interrupted")
            return 130
        except GuidanceError as error:
            _say(name, f"error: {error}")
            return 2
        except BrokenPipeError:
            if _stdout_works():
                raise
            return 1
        except OSError as error:  # a disk or a network share may fail at any time
            file = _ending(error.filename or "a file")
            _say(name, f"error: {error.strerror or error}: {file}")
            return 2
        except (MemoryError, RuntimeError) as error:
            if not _is_out_of_memory(error):
                raise
            _say(name, f"error: out of memory{_memory_hint(options)}")
            return 1


def parse(
    options: type[T],
    prog: str,
    arguments: Sequence[str],
    default: T | None = None,
    taken: Sequence[str] = (),
) -> T:
    """Return the options that `arguments` stand for; with ``--help`` show it and end the program.

    Args:
        options: a frozen dataclass.
        prog: shown in the usage line.
        arguments: without the program's name.
        default: the options where none are given.
        taken: as `main` has it.

    Raises:
        InputError: they do not follow the options.
    """
    arguments = list(arguments)
    if _prompt_is_positional(options):
        arguments, taken = _prompt_flag(arguments, table(options)), (*taken, *PROMPTS)
    check_arguments(arguments, options, given=default is not None, others=(*taken, *HELP))
    extra: dict[str, Any] = {} if default is None else {"default": default}
    told = io.StringIO()
    try:
        with contextlib.redirect_stderr(told):
            return tyro.cli(
                options, prog=prog, args=arguments, config=(tyro.conf.OmitArgPrefixes,), **extra
            )
    except SystemExit as stop:
        if not stop.code:
            raise
        raise _refused(stop) or InputError(_one_line(told.getvalue())) from None


def choose(commands: Iterable[str], prog: str, argv: Sequence[str]) -> str | int:
    """Return the name that `argv` begins with, or an exit code if it is none of `commands`.

    Without a name, or with ``--help``, they are listed; an unknown one is told.
    """
    name = argv[0] if argv else ""
    if name in commands:
        return name
    if name in ("", *HELP):
        usage = f"usage: {prog} {{{','.join(commands)}}} ...; each has --help"
        print(usage, file=sys.stdout if name else sys.stderr)
        return 0 if name else 2
    _say(command_name(prog), f"error: {unknown('command', name, commands)}")
    return 2


def take_option(arguments: list[str], name: str, *, path: bool = False) -> str | None:
    """Remove ``name VALUE`` or ``name=VALUE`` from `arguments` and return the value.

    Args:
        path: the value is a file or folder: one that begins with a dash must be ``name=VALUE``.
    """
    for index, argument in enumerate(arguments):
        if argument == "--":
            return None
        if argument == name:
            value = arguments[index + 1] if index + 1 < len(arguments) else "--"
            if value == "--" or (path and is_option(value)):
                raise InputError(f"{name} needs a value")
            del arguments[index : index + 2]
            return value
        if argument.startswith(name + "="):
            del arguments[index]
            return argument.partition("=")[2]
    return None


def check_input_file(name: str, path: Path | str | None) -> None:
    """Raise `InputError` unless `path` is None or an existing file."""
    if path is None or _is(Path.is_file, path):
        return
    if str(path) and _is(Path.is_dir, path):
        raise InputError(f"{name} must be a file but {_shown(path)} is a folder")
    if str(path) and _is(Path.exists, path):
        raise InputError(f"{name} must be an ordinary file but {_shown(path)} is a pipe or device")
    raise InputError(f"{name}: the file {_shown(path)} does not exist")


def _shown(path: Path | str) -> str:
    """Return a path in quotes, the end of a long one."""
    return repr(_ending(path))


def _ending(path: Path | str) -> str:
    return str(path) if len(str(path)) <= 200 else f"…{str(path)[-199:]}"


def _is(test: Callable[[Path], bool], path: Path | str) -> bool:
    """Return whether a path passes a test; one that no system could hold does not."""
    try:
        return test(Path(path))
    except (OSError, ValueError):
        return False


def _refused(stop: BaseException) -> GuidanceError | None:
    """Return the error of ours that tyro put into its box, if it ended for one."""
    error: BaseException | None = stop
    while error is not None and not isinstance(error, GuidanceError):
        error = error.__context__
    return error


def _one_line(box: str) -> str:
    """Return what tyro's message of several lines begins with."""
    text = re.split(r"\u2500{9}", re.sub(r"^\u256d.*$", "", box, count=1, flags=re.MULTILINE))[0]
    return " ".join(text.replace("\u2502", " ").split()) or "these arguments cannot be read"


def _prompt_is_positional(options: type) -> bool:
    return typing.get_type_hints(options, include_extras=True).get("prompt") == Prompt


def _prompt_flag(arguments: list[str], known: Collection[str]) -> list[str]:
    """Accept ``-p TEXT`` and ``--prompt[s] TEXT``, as older tools have it, for the positional.

    Several are joined as ``a | b``. What follows it may begin with a dash, unless it is one of the
    `known` options.
    """
    prompts = []
    for flag in PROMPTS:
        while (prompt := take_option(arguments, flag)) is not None:
            if prompt in known:
                raise InputError(f"{flag} needs a value; as a prompt write {flag}={prompt}")
            prompts.append(prompt)
    if not prompts:
        return arguments
    dashes = [] if "--" in arguments else ["--"]  # a prompt may begin with a dash
    return [*arguments, *dashes, " | ".join(prompts)]


def _say(name: str, text: str) -> None:
    print(f"{name}: {printable(text)}", file=sys.stderr)


@contextlib.contextmanager
def _notes(name: str) -> Generator[logging.Logger]:
    """Show what the package's logger is told: how a model was taken, say, which is no warning."""

    class Say(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            _say(name, record.getMessage())

    logger, handler = logging.getLogger("guidance"), Say(logging.INFO)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield logger
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def _is_out_of_memory(error: Exception) -> bool:
    text = str(error)
    return isinstance(error, MemoryError) or (
        "out of memory" in text or "can't allocate memory" in text
    )


def _memory_hint(options: type) -> str:
    """Name the options of a technique that save memory."""
    names = {f.name for f in fields(options)} & {"size", "cuts", "cuts_per_batch", "batch"}
    shown = ", ".join(f"--{n.replace('_', '-')}" for n in sorted(names, reverse=True))
    return f"; lower {shown}" if shown else ""


def _stdout_works() -> bool:
    """Return whether stdout can be written; if not, let Python's last flush go nowhere."""
    try:
        print(flush=True)  # a flush alone may find nothing left to write
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return False
    return True
