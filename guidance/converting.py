"""Values of a table or of Python against type hints: each as the hint has it, or refused."""

from __future__ import annotations

import functools
import numbers
import os
import reprlib
import types
import typing
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from guidance.errors import InputError, unknown

if typing.TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")

hints_of = functools.cache(typing.get_type_hints)


def from_table(options: type[T], table: Mapping[str, Any], source: str) -> T:
    """Build `options` from a TOML table, e.g. of a manifest or recipe; sections are dataclasses.

    Raises:
        InputError: an unknown option, or a value of the wrong type.
    """
    hints = hints_of(options)
    names = {f.name for f in fields(options)}
    earlier = getattr(options, "EARLIER", {})  # names of options in manifests of earlier versions
    values = {}
    for name, value in table.items():
        name = earlier.get(name, name)
        if name not in names:
            raise InputError(f"{source}: {unknown('option', name[:80], names)}")
        values[name] = convert(value, hints[name], f"{source}: {name}")
    try:
        return options(**values)
    except TypeError:
        missing = [f.name for f in fields(options) if f.name not in values and _required(f)]
        raise InputError(f"{source} lacks the option {', '.join(missing)}") from None


def _required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def convert(value: Any, hint: Any, where: str) -> Any:
    """Check `value` of a TOML file or of Python against a type hint.

    Lists become tuples, ints floats, numbers of numpy those of Python, paths texts or texts paths
    as is asked for, and tables dataclasses.
    """
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        if value is None and type(None) in arguments:
            return None
        kinds = [a for a in arguments if a is not type(None)]
        return convert(value, kinds[0], where)
    if origin is Literal:
        if not any(type(value) is type(a) and value == a for a in arguments):
            allowed = ", ".join(map(str, arguments))
            raise InputError(f"{where} must be one of {allowed} but is {shown(value)}")
        return value
    if origin is tuple:
        return _convert_list(value, arguments, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where} must be a table but is {shown(value)}")
        return {k: convert(v, arguments[1], f"{where}.{k}") for k, v in value.items()}
    if is_dataclass(hint):
        if not isinstance(value, dict):
            section = where.rpartition(" ")[2]
            raise InputError(f"{where} must be a section [{section}] but is {shown(value)}")
        return from_table(hint, value, where)
    return _convert_plain(value, hint, where)


def _convert_list(value: Any, kinds: tuple[Any, ...], where: str) -> tuple:
    """Check a list against the kinds of a tuple: as many, or one and an ellipsis for any number."""
    if not isinstance(value, list | tuple):
        raise InputError(f"{where} must be a list but is {shown(value)}")
    if kinds[-1] is Ellipsis:
        kinds = kinds[:1] * len(value)
    if len(value) != len(kinds):
        raise InputError(f"{where} must have {len(kinds)} values but has {len(value)}")
    return tuple(convert(v, kind, where) for v, kind in zip(value, kinds, strict=True))


def _convert_plain(value: Any, hint: type, where: str) -> Any:
    """Check a number, text, path or truth value."""
    if hint is Path and isinstance(value, str):
        return Path(value)
    if hint is str and isinstance(value, os.PathLike):
        value = os.fspath(value)
    number = isinstance(value, numbers.Real) and not isinstance(value, bool)
    if hint is int and number and isinstance(value, numbers.Integral):
        value = int(value)
        if value.bit_length() > 64:
            raise InputError(f"{where} must have at most 64 bits but is {shown(value)}")
    elif hint is float and number:
        try:
            return float(value)
        except OverflowError:
            raise InputError(f"{where} must be of type float but is {shown(value)}") from None
    if not isinstance(value, hint) or (hint is int and not number):
        raise InputError(f"{where} must be of type {hint.__name__} but is {shown(value)}")
    return value


class _Short(reprlib.Repr):
    """Values in messages: shortened, on one line, however long or nested they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxstring = self.maxother = 60

    def repr_int(self, x: int, level: int) -> str:
        """Return a number, or how long one is that Python would not print."""
        return f"a number of {x.bit_length()} bits" if x.bit_length() > 128 else repr(x)


def shown(value: object) -> str:
    """Return `value` as it is shown in messages.

    Example:
        >>> shown([1, "a"])
        "[1, 'a']"
    """
    return " ".join(_Short().repr(value).split())
