"""``python -m guidance.train.text embed`` and ``distil``."""

import sys

from guidance.command.launch import Command, Commands
from guidance.train.text.options import DistilOptions, EmbedOptions

main = Commands(
    "train.text",
    {
        "embed": Command("train.text embed", EmbedOptions, "guidance.train.text.embed:embed"),
        "distil": Command("train.text distil", DistilOptions, "guidance.train.text.distil:distil"),
    },
)

if __name__ == "__main__":
    sys.exit(main())
