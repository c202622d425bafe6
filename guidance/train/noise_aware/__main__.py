"""``python -m guidance.train.noise_aware``."""

import sys

from guidance.command.launch import Command
from guidance.train.noise_aware.options import NoiseAwareTraining

main = Command("train.noise_aware", NoiseAwareTraining, "guidance.train.noise_aware.trainer:train")

if __name__ == "__main__":
    sys.exit(main())
