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
from dataclasses import MISSING, dataclass, fields, is_dataclass
from typing import Any, Literal, NoReturn

import tyro

from guidance.errors import InputError, nearest

HELP = ("-h", "--help")
DASHES = "a prompt or file that begins with a dash stands behind '--', after all options"
_POSITIONAL = typing.get_args(tyro.conf.Positional[str])[1]
_APPEND = typing.get_args(tyro.conf.UseAppendAction[str])[1]
_NUMBER = re.compile(r"-(\d|\.\d|inf$|nan$)", re.IGNORECASE)
_VALUE = re.compile(r"[-+.\d][-+.,:x×\deE%]*|true|false|yes|no|on|off", re.IGNORECASE)
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
    needed = [] if given else _required(options)
    fewest = 0 if given else len(required)
    rest, words, before = list(arguments), [], ""
    taker = ""  # an option that takes all words behind it, and so the prompt too
    extra = ""  # a number or a truth value behind an option that has its values already
    while rest:
        argument = rest.pop(0)
        if argument == "--":
            words += rest
            break
        if argument in HELP:
            return
        if not is_option(argument):
            words.append(argument)
            if before and _VALUE.fullmatch(argument):
                extra = extra or f"{argument!r}: {_count(before, known[before])}"
            before = ""
            continue
        name, equals, value = argument.partition("=")
        option = _find(name, argument, known, others, words=most > 0)
        needed = [n for n in needed if option is None or known[n] is not option]
        before = next((n for n in (name, _hyphens(name)) if n in known), "")
        if option is not None:
            values = [value] if equals else []
            values += _take(rest, option, len(values), max(0, fewest - len(words)))
            _check_values(name, option, values, rest, known)
            taker = name if option.several and values and not equals else taker
    if len(words) > most:
        if extra:
            raise InputError(f"unexpected argument {extra}")
        quotes = "a prompt of several words stands in quotes, and " if most else ""
        raise InputError(
            f"unexpected argument {words[int(most)]!r}: {quotes}the name of an option begins with"
            " '--'"
        )
    if len(words) < fewest:
        example = ', for example "a fox at sunrise"' if required[len(words)] == "PROMPT" else ""
        missing = required[len(words)]
        hint = f"{taker} takes all words behind it: put {missing} before it" if taker else ""
        raise InputError(f"{missing} is missing{example}; {hint or 'see --help'}")
    if needed:
        raise InputError(f"{', '.join(needed)} must be given; see --help")


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


def _required(options: type) -> list[str]:
    """Return the names of the options that must be given."""
    found = []
    hints = typing.get_type_hints(options, include_extras=True)
    for f in fields(options):
        plain, extras = _strip(hints[f.name])
        free = f.default is MISSING and f.default_factory is MISSING
        if free and _POSITIONAL not in extras and not is_dataclass(plain):
            names = [n for e in extras if (n := getattr(e, "name", None))]
            found.append(f"--{names[0] if names else f.name.replace('_', '-')}")
    return found


def is_option(argument: str) -> bool:
    """Return whether an argument looks like an option rather than a word or a number."""
    return len(argument) > 1 and argument[0] == "-" and not _NUMBER.match(argument)


def _find(
    name: str, argument: str, known: dict[str, Option], others: Sequence[str], *, words: bool
) -> Option | None:
    """Return the option of a name, None for short ones in one word such as ``-qr`` or ``-n4``."""
    name = _hyphens(name)
    if name in known:
        return known[name]
    if not name.startswith("--"):
        letters = [f"-{letter}" for letter in name[1:]]
        if all(n in known and not known[n].hints for n in letters):
            return None
        if letters[0] in known and known[letters[0]].hints and re.match(r"-.[-+.]?\d", argument):
            return None
    if name in HELP:
        raise InputError(f"{name} takes no value but is given {argument.partition('=')[2]!r}")
    _refuse(argument.partition("=")[0], [*known, *others], words=words)


def _hyphens(name: str) -> str:
    """Return a name as it is listed: words of long ones may be joined by ``_`` as well."""
    return "--" + name[2:].replace("_", "-") if name.startswith("--") else name


def _count(name: str, option: Option) -> str:
    """Return how many values an option takes."""
    count = len(option.hints)
    what = ("no value", "one value")[count] if count < 2 else f"{count} values"
    either = f", there is --no-{name.removeprefix('--')}" if name.startswith("--") else ""
    return f"{name} takes {what}" + (either if not count and "--no-" not in name else "")


def _refuse(name: str, known: Iterable[str], *, words: bool) -> NoReturn:
    """Raise `InputError` for an unknown option, with the nearest names.

    Args:
        words: there are prompts or files on the command line, which may begin with a dash.
    """
    # short names come first: a long one of the same letters takes its place
    names = sorted(known, key=lambda k: k.startswith("--"))
    if name.startswith("--"):
        names = [k for k in names if k.startswith("--")]
    plain = {k.lstrip("-"): k for k in names}
    word = name.lstrip("-").replace("_", "-").lower()
    begun = sorted((k for k in plain if len(word) > 1 and k.startswith(word)), key=len)
    close = difflib.get_close_matches(word, plain, n=2, cutoff=0.6)
    near = [plain[k] for k in dict.fromkeys([*close[:1], *begun, *close])][:2]
    hint = f"; did you mean {' or '.join(near)}?" if near else "; --help lists them"
    dash = f" ({DASHES})" if words and not (near and name.startswith("--")) else ""
    raise InputError(f"unknown option {name!r}{hint}{dash}")


def _take(rest: list[str], option: Option, taken: int, missing: int) -> list[str]:
    """Take the values of an option from the front of what is left."""
    values: list[str] = []
    most = float("inf") if option.several else len(option.hints) - taken
    while rest and len(values) < most and rest[0] != "--" and not is_option(rest[0]):
        if option.several and len(rest) <= missing:
            break  # these are the positional arguments
        values.append(rest.pop(0))
    return values


def _check_values(
    name: str, option: Option, values: list[str], rest: list[str], known: dict[str, Option]
) -> None:
    """Raise `InputError` unless there are as many values as needed, each of its kind."""
    count = len(option.hints)
    if not count and values:
        raise InputError(f"{name} takes no value but is given {values[0]!r}")
    if len(values) < count and not option.several:
        what = "a value" if count == 1 else f"{count} values"
        dash = ""
        if rest and rest[0] != "--" and _hyphens(rest[0].partition("=")[0]) not in known:
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
            hint = nearest(value, choices, n=1)
            raise InputError(f"{name} must be one of {', '.join(choices)} but is {value!r}{hint}")
    elif hint in _KINDS:
        try:
            hint(value)
        except ValueError:
            raise InputError(f"{name} must be {_KINDS[hint]} but is {value!r}") from None
