"""What a command says that a reader can copy but that needs weights which are not here."""

from __future__ import annotations

import re
import shlex

# what ends such a command, each with what the message has to name beside the value
REASONS = (
    r"the (CLIP )?checkpoint '?{value}'? does not exist",
    r"[^\n]*{value} [^\n]*could not be downloaded \([^\n]*\); use --\w+ (mini, which ships with "
    r"the package|auto, which is the model's own), or a local file[^\n]*",
    r"unknown CLIP model '{value}' \(known: [^\n]*\)",
)


def check_out_of_reach(said: str, technique: str, command: str) -> None:
    """Check that `said` is one clear line about a value that `command` names."""
    values = [re.split(r"[=:,]", part) for part in shlex.split(command)]
    value = "(" + "|".join(re.escape(v) for parts in values for v in parts if v) + ")"
    reasons = "|".join(reason.format(value=value) for reason in REASONS)
    pattern = rf"guidance\.{technique}: error: ({reasons})\n"
    assert re.fullmatch(pattern, said), f"{command!r} says {said!r}"
