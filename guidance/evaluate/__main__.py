"""``python -m guidance.evaluate clip``, ``diffusion`` and ``vqgan``."""

import sys

from guidance.command.cli import choose, main
from guidance.evaluate import clip, diffusion, vqgan

COMMANDS = {
    "clip": (clip.ClipEvaluation, clip.run),
    "diffusion": (diffusion.DiffusionEvaluation, diffusion.run),
    "vqgan": (vqgan.VqganEvaluation, vqgan.run),
}

PROG = "python -m guidance.evaluate"

if __name__ == "__main__":
    name = choose(COMMANDS, PROG, sys.argv[1:])
    if isinstance(name, int):
        sys.exit(name)
    chosen, work = COMMANDS[name]
    sys.exit(main(chosen, work, prog=f"{PROG} {name}", argv=sys.argv[2:]))
