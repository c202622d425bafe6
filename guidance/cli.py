"""Dataclass → command line, and the options every technique shares.

One frozen dataclass a technique is at once its defaults, its ``--help``, its type check, its
recipe and its manifest. Bad input ends with one line on stderr and exit code 2.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from guidance.errors import GuidanceError, InputError

T = TypeVar("T")

# tyro markers used by the options of all techniques
Several = tyro.conf.UseAppendAction  # --negative a --negative b


def alias(*names: str) -> object:
    """Return the annotation that gives an option further names, e.g. those of older tools."""
    return tyro.conf.arg(aliases=[*names])


Prompt = Annotated[tyro.conf.Positional[str], tyro.conf.arg(metavar="PROMPT")]


def main(
    options: type[T],
    execute: Callable[[T], int | None],
    *,
    prog: str,
    argv: Sequence[str] | None = None,
    base: Callable[[list[str]], T | None] = lambda argv: None,
) -> int:
    """Parse `argv` into `options`, call `execute`, and turn errors into exit codes.

    Args:
        options: a frozen dataclass; its docstring is the description.
        execute: does the work; returns the exit code, None for 0.
        prog: shown in the usage line and before messages.
        argv: without the program's name; None means `sys.argv`.
        base: may take arguments such as ``--from FILE`` out of the list and return the options
            that are the defaults of this call.

    Returns:
        0, or 1 as `execute` says, 2 for bad input, 130 after Ctrl-C.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    name = prog.rpartition(" ")[2]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.filterwarnings("always", category=UserWarning, module=r"guidance\b|__main__")
        warnings.showwarning = lambda message, *_: print(f"{name}: warning: {message}", file=sys.stderr)
        try:
            default = base(arguments)
            extra = {} if default is None else {"default": default}
            parsed = tyro.cli(
                options,
                prog=prog,
                args=_prompt_flag(arguments),
                config=(tyro.conf.FlagCreatePairsOff, tyro.conf.OmitArgPrefixes),
                **extra,
            )
            return execute(parsed) or 0
        except SystemExit as stop:  # tyro's --help and usage errors
            return int(stop.code or 0)
        except KeyboardInterrupt:
            print(f"{name}: interrupted", file=sys.stderr)
            return 130
        except GuidanceError as error:
            print(f"{name}: error: {error}", file=sys.stderr)
            return 2
        except MemoryError:
            print(f"{name}: error: out of memory; lower --size, --cuts or --cuts-per-batch", file=sys.stderr)
            return 1
        except RuntimeError as error:
            if "out of memory" not in str(error) and "can't allocate memory" not in str(error):
                raise
            print(f"{name}: error: out of memory; lower --size, --cuts or --cuts-per-batch", file=sys.stderr)
            return 1


def take_option(arguments: list[str], name: str) -> str | None:
    """Remove ``name VALUE`` or ``name=VALUE`` from `arguments` and return the value."""
    for index, argument in enumerate(arguments):
        if argument == "--":
            return None
        if argument == name:
            if index + 1 >= len(arguments):
                raise InputError(f"{name} needs a value")
            value = arguments[index + 1]
            del arguments[index : index + 2]
            return value
        if argument.startswith(name + "="):
            del arguments[index]
            return argument.partition("=")[2]
    return None


def check_input_file(name: str, path: Path | str | None) -> None:
    """Raise `InputError` unless `path` is None or an existing file."""
    if path is not None and not Path(path).is_file():
        raise InputError(f"{name}: the file {str(path)!r} does not exist")


def _prompt_flag(arguments: list[str]) -> list[str]:
    """Accept ``-p TEXT`` and ``--prompt[s] TEXT``, as older tools have it, for the positional."""
    prompt = None
    for flag in ("-p", "--prompt", "--prompts"):
        prompt = prompt or take_option(arguments, flag)
    return arguments if prompt is None else [*arguments, prompt]
