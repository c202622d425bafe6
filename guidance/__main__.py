"""``python -m guidance``: list the techniques."""

import ast
import sys
from collections.abc import Sequence
from pathlib import Path

from guidance.errors import unknown


def techniques() -> dict[str, str]:
    """Return the first line of the docstring of every technique, by name."""
    found = {}
    for main in sorted(Path(__file__).parent.glob("*/__main__.py")):
        source = (main.parent / "__init__.py").read_text(encoding="utf-8")
        found[main.parent.name] = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    return found


def _trainings() -> str:
    """Return the names of the commands of `guidance.train`."""
    files = sorted((Path(__file__).parent / "train").glob("*.py"))
    commands = [f for f in files if 'if __name__ == "__main__"' in f.read_text(encoding="utf-8")]
    return ", ".join(f.stem for f in commands)


def main(argv: Sequence[str] = ()) -> int:
    """Print the table; say how a technique that is named is run."""
    known = techniques()
    name = next(iter(argv), "--help")
    if name == "--version":
        from guidance.command.record import versions  # takes torch along

        print(f"guidance {versions()['guidance']}")
        return 0
    if name == "train":
        said = f"write python -m guidance.train.NAME: {_trainings()}"
        print(f"guidance: error: {said}", file=sys.stderr)
        return 2
    if name in known:
        print(f"guidance: error: write python -m guidance.{name}", file=sys.stderr)
        return 2
    if name not in ("-h", "--help"):
        print(f"guidance: error: {unknown('technique', name, known)}", file=sys.stderr)
        return 2
    print("Techniques of guidance; each has --help.\n")
    for name, line in known.items():
        print(f"  python -m guidance.{name:<11} {line}")
    print(f"\nTrainings, python -m guidance.train.NAME: {_trainings()}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
