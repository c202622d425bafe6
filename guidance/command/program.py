"""How this process was called: ``clip-guidance NAME``, ``python -m guidance NAME`` or ``….NAME``.

It is read from the interpreter's own record, so that messages say what the user has typed.
"""

from __future__ import annotations

import os
import sys

CONSOLE = "clip-guidance"


def is_starting() -> bool:
    """Return whether Python is importing the package because the user has called it."""
    if _is_console():
        return True
    return sys.argv[:1] == ["-m"] and any(
        a == "guidance" or a.startswith(("guidance.", "-mguidance")) for a in sys.orig_argv[1:]
    )


def called_as(name: str = "") -> str:
    """Return what the user has typed to call a command, or could have in a process of another kind.

    Args:
        name: of the command, ``"train.clip"`` or ``"evaluate vqgan"``; none for the list of all.
    """
    blank = f" {name.replace('.', ' ')}".rstrip()
    if _is_console():
        return CONSOLE + blank
    folder, file = os.path.split(sys.argv[0] if sys.argv else "")
    if file == "__main__.py" and os.path.basename(folder) == "guidance":
        return f"python -m guidance{blank}"
    return f"python -m guidance.{name}" if name else "python -m guidance"


def command_name(prog: str) -> str:
    """Return what stands before every message of a program.

    Example:
        >>> command_name("python -m guidance.look heat"), command_name("python recipes/restyle.py")
        ('guidance.look heat', 'recipes/restyle.py')
    """
    return prog.removeprefix("python ").removeprefix("-m ")


def name_so_far() -> str:
    """Return what stands before a message while it is not yet known which command runs."""
    module = next((a for a in sys.orig_argv if a.startswith("guidance.")), "guidance")
    return CONSOLE if _is_console() else module


def _is_console() -> bool:
    """Return whether the console command runs; on Windows it is ``clip-guidance.exe``."""
    return bool(sys.argv) and os.path.splitext(os.path.basename(sys.argv[0]))[0] == CONSOLE
