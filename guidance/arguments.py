"""Command line against its dataclass: names, counts and kinds of values, each refused in one line.

It is read before tyro parses it, because tyro shows a box of several lines, without the nearest
name for a short option and with Python's own words for a number that is none.
"""

from __future__ import annotations

import difflib
import re
import types
import typing
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, is_dataclass
from typing import Any, Literal, NoReturn

import tyro

from guidance.errors import InputError

HELP = ("-h", "--help")
DASHES = "a prompt or file that begins with a dash stands behind '--', after all options"
_POSITIONAL = typing.get_args(tyro.conf.Positional[str])[1]
_APPEND = typing.get_args(tyro.conf.UseAppendAction[str])[1]
_NUMBER = re.compile(r"-(\d|\.\d|inf$|nan$)", re.IGNORECASE)
_KINDS = {int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class Option:
    """One option as it may be typed.

    Attributes:
        hints: type of each of its values; empty for a flag.
        several: the last hint stands for any number of values.
        optional: "None" is a value as well.
    """

    hints: tuple[Any, ...]
    several: bool = False
    optional: bool = False


def table(options: type) -> dict[str, Option]:
    """Return the options of a dataclass and of those inside it, by each of their names."""
    found: dict[str, Option] = {}
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        plain, extras = _strip(hint)
        if is_dataclass(plain):
            found |= table(plain)
        elif _POSITIONAL not in extras:
            flag = "--" + name.replace("_", "-")
            names = [getattr(e, "name", None) for e in extras]
            flag = next((f"--{n}" for n in names if n), flag)
            option = _option(plain, append=_APPEND in extras)
            aliases = [a for e in extras for a in getattr(e, "aliases", None) or ()]
            negated = [] if option.hints else ["--no-" + flag.removeprefix("--")]
            found |= dict.fromkeys([flag, *aliases, *negated], option)
    return found


def check_arguments(
    arguments: Sequence[str], options: type, *, given: bool = False, others: Sequence[str] = ()
) -> None:
    """Raise `InputError` for what `options` do not allow.

    Args:
        arguments: as typed, without the program's name.
        given: there are defaults even for what is required.
        others: names that are taken out of the arguments before; a mistyped one is near to them.
    """
    known = table(options)
    most, required = _positionals(options)
    fewest = 0 if given else len(required)
    rest, words = list(arguments), []
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if argument in HELP:
            return
        if not _is_option(argument):
            words.append(argument)
            continue
        name, equals, value = argument.partition("=")
        option = _find(name, argument, known, others)
        if option is not None:
            values = [value] if equals else []
            values += _take(rest, option, len(values), max(0, fewest - len(words)))
            _check_values(name, option, values, rest)
    if len(words) > most:
        raise InputError(
            f"unexpected argument {words[int(most)]!r}: a prompt of several words stands in quotes,"
            " and the name of an option begins with '--'"
        )
    if len(words) < fewest:
        example = ', for example "a fox at sunrise"' if required[len(words)] == "PROMPT" else ""
        raise InputError(f"{required[len(words)]} is missing{example}; see --help")


def _strip(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    """Return a type hint and what `Annotated` adds to it."""
    if typing.get_origin(hint) is typing.Annotated:
        plain, extras = _strip(hint.__origin__)
        return plain, (*hint.__metadata__, *extras)
    return hint, ()


def _option(hint: Any, *, append: bool) -> Option:
    """Return what may follow the name of an option of a type."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        kinds = [kind for kind in inner if kind is not type(None)]
        option = _option(kinds[0], append=append)
        return Option(option.hints, option.several, optional=len(kinds) < len(inner))
    if hint is bool:
        return Option(())
    if origin is tuple and inner[-1] is Ellipsis:
        return Option((inner[0],), several=not append)
    if origin is tuple:
        return Option(inner)
    return Option((str,), several=True) if origin is dict else Option((hint,))


def _positionals(options: type) -> tuple[float, list[str]]:
    """Return how many positional arguments a dataclass takes, and those without a default."""
    most, required = 0.0, []
    for name, hint in typing.get_type_hints(options, include_extras=True).items():
        plain, extras = _strip(hint)
        if _POSITIONAL in extras:
            most += float("inf") if typing.get_origin(plain) is tuple else 1
            if not hasattr(options, name):  # a dataclass keeps its defaults on the class
                shown = [m for e in extras if (m := getattr(e, "metavar", None))]
                required += shown or [name.upper()]
    return most, required


def _is_option(argument: str) -> bool:
    return len(argument) > 1 and argument[0] == "-" and not _NUMBER.match(argument)


def _find(
    name: str, argument: str, known: dict[str, Option], others: Sequence[str]
) -> Option | None:
    """Return the option of a name, None for short ones in one word such as ``-qr`` or ``-n4``."""
    if name.startswith("--"):
        name = "--" + name[2:].replace("_", "-")
    if name in known:
        return known[name]
    if not name.startswith("--"):
        letters = [f"-{letter}" for letter in name[1:]]
        if all(n in known and not known[n].hints for n in letters):
            return None
        if letters[0] in known and known[letters[0]].hints and re.match(r"-.[-+.]?\d", argument):
            return None
    _refuse(argument.partition("=")[0], [*known, *others])


def _refuse(name: str, known: Iterable[str]) -> NoReturn:
    """Raise `InputError` for an unknown option, with the nearest names."""
    plain = {k.lstrip("-"): k for k in known}
    word = name.lstrip("-").replace("_", "-").lower()
    begun = sorted((k for k in plain if len(word) > 1 and k.startswith(word)), key=len)
    close = difflib.get_close_matches(word, plain, n=2, cutoff=0.6)
    near = [plain[k] for k in dict.fromkeys([*close[:1], *begun, *close])][:2]
    hint = f"; did you mean {' or '.join(near)}?" if near else "; --help lists them"
    dash = "" if near and name.startswith("--") else f" ({DASHES})"
    raise InputError(f"unknown option {name!r}{hint}{dash}")


def _take(rest: list[str], option: Option, taken: int, missing: int) -> list[str]:
    """Take the values of an option from the front of what is left."""
    values: list[str] = []
    most = float("inf") if option.several else len(option.hints) - taken
    while rest and len(values) < most and rest[0] != "--" and not _is_option(rest[0]):
        if option.several and len(rest) <= missing:
            break  # these are the positional arguments
        values.append(rest.pop(0))
    return values


def _check_values(name: str, option: Option, values: list[str], rest: list[str]) -> None:
    """Raise `InputError` unless there are as many values as needed, each of its kind."""
    count = len(option.hints)
    if not count and values:
        raise InputError(f"{name} takes no value but is given {values[0]!r}")
    if len(values) < count and not option.several:
        what = "a value" if count == 1 else f"{count} values"
        dash = ""
        if rest and rest[0] != "--":
            dash = f"; one that begins with a dash is written {name}={rest[0]}"
        raise InputError(f"{name} needs {what}{dash}")
    hints = [option.hints[0]] * len(values) if option.several else option.hints
    for hint, value in zip(hints, values, strict=False):
        if not (option.optional and value == "None"):
            _check_value(name, hint, value)


def _check_value(name: str, hint: Any, value: str) -> None:
    """Raise `InputError` unless a text stands for a value of a type."""
    if typing.get_origin(hint) is Literal:
        choices = [str(choice) for choice in typing.get_args(hint)]
        if value not in choices:
            close = difflib.get_close_matches(value, choices, n=1, cutoff=0.5)
            near = f"; did you mean {close[0]}?" if close else ""
            raise InputError(f"{name} must be one of {', '.join(choices)} but is {value!r}{near}")
    elif hint in _KINDS:
        try:
            hint(value)
        except ValueError:
            raise InputError(f"{name} must be {_KINDS[hint]} but is {value!r}") from None
