"""``python -m guidance.evaluate blind``, ``clip``, ``diffusion``, ``naming`` and ``vqgan``."""

import sys

from guidance.command.launch import Command, Commands
from guidance.evaluate.blind.options import BlindOptions, NamingOptions
from guidance.evaluate.clip_options import ClipEvaluation
from guidance.evaluate.diffusion_options import DiffusionEvaluation
from guidance.evaluate.vqgan_options import VqganEvaluation

main = Commands(
    "evaluate",
    {
        "blind": Command("evaluate blind", BlindOptions, "guidance.evaluate.blind.make:run"),
        "clip": Command("evaluate clip", ClipEvaluation, "guidance.evaluate.clip:run"),
        "diffusion": Command(
            "evaluate diffusion", DiffusionEvaluation, "guidance.evaluate.diffusion:run"
        ),
        "naming": Command("evaluate naming", NamingOptions, "guidance.evaluate.blind.naming:run"),
        "vqgan": Command("evaluate vqgan", VqganEvaluation, "guidance.evaluate.vqgan:run"),
    },
)

if __name__ == "__main__":
    sys.exit(main())
