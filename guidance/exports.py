"""Names of a package that are imported when they are first used.

So ``import guidance`` is instant, and the options of a technique come without its networks.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable


def on_first_use(package: str, **homes: str) -> Callable[[str], object]:
    """Return the ``__getattr__`` of a package.

    Args:
        package: its ``__name__``.
        homes: name → module it lives in: ``".options"`` below the package, or its whole name.
    """

    def find(name: str) -> object:
        if name not in homes:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(homes[name], package), name)

    return find
