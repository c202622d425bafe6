"""``python -m guidance.evaluate clip``, ``diffusion`` and ``vqgan``."""

import sys

from guidance.cli import main
from guidance.evaluate import clip, diffusion, vqgan

COMMANDS = {
    "clip": (clip.ClipEvaluation, clip.run),
    "diffusion": (diffusion.DiffusionEvaluation, diffusion.run),
    "vqgan": (vqgan.VqganEvaluation, vqgan.run),
}

if __name__ == "__main__":
    name, *rest = sys.argv[1:] or [""]
    if name not in COMMANDS:
        known = ",".join(COMMANDS)
        print(f"usage: python -m guidance.evaluate {{{known}}} --help", file=sys.stderr)
        sys.exit(0 if name in ("-h", "--help") else 2)
    chosen, work = COMMANDS[name]
    sys.exit(main(chosen, work, prog=f"python -m guidance.evaluate {name}", argv=rest))
