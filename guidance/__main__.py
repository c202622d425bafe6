"""``python -m guidance`` and ``clip-guidance``: list the commands, run the one that is named."""

import ast
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from guidance.command.plugins import announced, load
from guidance.command.program import called_as, command_name
from guidance.errors import GuidanceError, unknown

_HERE = Path(__file__).parent


def techniques() -> dict[str, str]:
    """Return the first line of the docstring of every technique, by name."""
    found = {}
    for main in sorted(_HERE.glob("*/__main__.py")):
        source = (main.parent / "__init__.py").read_text(encoding="utf-8")
        found[main.parent.name] = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    return found


def trainings() -> list[str]:
    """Return the names of the commands of `guidance.train`."""
    return sorted(path.parent.name for path in (_HERE / "train").glob("*/__main__.py"))


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that `argv` begins with, or list all; return the exit code.

    Args:
        argv: by default what the user has typed.
    """
    name, *rest = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    if name == "--version":
        from guidance.command.record import versions  # takes the options of all techniques along

        print(f"guidance {versions()['guidance']}")
        return 0
    if name in ("-h", "--help"):
        if hasattr(sys.stdout, "reconfigure"):  # somebody's words on a terminal that is not UTF-8
            sys.stdout.reconfigure(errors="backslashreplace")
        print(_listing())
        return 0
    if name == "train":
        return _run_training(*rest)
    if name in techniques():
        return importlib.import_module(f"guidance.{name}.__main__").main(rest)
    return _run_plugin(name, rest)


def _run_plugin(name: str, arguments: Sequence[str]) -> int:
    """Run a technique of another package, or tell that there is none of a name."""
    others = announced()
    if name not in others:
        return _refuse(unknown("technique", name, {**techniques(), **others}))
    try:
        technique = load(name)
    except GuidanceError as error:
        return _refuse(str(error))
    from guidance.command.runner import command

    return command(technique, arguments)


def _run_training(name: str = "", *rest: str) -> int:
    """Run a training, list all, or tell that there is none of a name."""
    known = trainings()
    if name in known:
        return importlib.import_module(f"guidance.train.{name}.__main__").main(rest)
    listed = f"{called_as('train.NAME')}: {', '.join(known)}"
    if name in ("-h", "--help"):
        print(f"Trainings, {listed}; each has --help")
        return 0
    if not name:
        return _refuse(f"which training? {listed}")
    return _refuse(unknown("training", name, known))


def _refuse(said: str) -> int:
    """Tell what is wrong with the name of a command."""
    print(f"{command_name(called_as())}: error: {said}", file=sys.stderr)
    return 2


def _listing() -> str:
    """Return a line for each command."""
    known = techniques()
    lines = [f"  {called_as(name):<31} {line}" for name, line in known.items()]
    others = [(name, line) for name, line in announced().items() if name not in known]
    if others:
        lines += ["", "Of other packages:\n"]
    lines += [f"  {called_as() + ' ' + name:<31} {line}" for name, line in others]
    trained = f"Trainings, {called_as('train.NAME')}: {', '.join(trainings())}"
    return "\n".join(["Techniques of guidance; each has --help.\n", *lines, "", trained])


if __name__ == "__main__":
    sys.exit(main())
