"""``python -m guidance.look matrix photos/ --texts "a cat" "a dog"``."""

import sys
from collections.abc import Sequence

from guidance.command import scoring
from guidance.command.program import called_as, command_name
from guidance.errors import unknown
from guidance.look.options import HeatOptions, MatrixOptions, VideoOptions, WriteOptions

KINDS = {o.KIND: o for o in (MatrixOptions, HeatOptions, WriteOptions, VideoOptions)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run from the command line: a kind, then its options; return the exit code."""
    name, *rest = (sys.argv[1:] if argv is None else list(argv)) or [""]
    prog = called_as("look")
    if name in ("-h", "--help", ""):
        print(f"usage: {prog} KIND PATH... --texts TEXT... [options]\n")
        for kind, options in KINDS.items():
            print(f"  {kind:<7} {(options.__doc__ or '').splitlines()[0]}")
        return 0 if name else 2
    if name not in KINDS:
        said = unknown("kind", name, KINDS)
        print(f"{command_name(prog)}: error: {said}", file=sys.stderr)
        return 2
    several = ("--texts", "--against", "--plain") if name in ("heat", "write") else ("--texts",)
    return scoring.command(f"look {name}", KINDS[name], several)(rest)


if __name__ == "__main__":
    sys.exit(main())
