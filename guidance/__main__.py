"""``python -m guidance``: list the techniques."""

import ast
import sys
from pathlib import Path


def techniques() -> dict[str, str]:
    """Return the first line of the docstring of every technique, by name."""
    found = {}
    for main in sorted(Path(__file__).parent.glob("*/__main__.py")):
        source = (main.parent / "__init__.py").read_text(encoding="utf-8")
        found[main.parent.name] = (ast.get_docstring(ast.parse(source)) or "").splitlines()[0]
    return found


def main() -> int:
    """Print the table."""
    print("Techniques of guidance; each has --help.\n")
    for name, line in techniques().items():
        print(f"  python -m guidance.{name:<11} {line}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
