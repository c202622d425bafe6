"""Words for an image → text for the terminal, and the facts of the JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from guidance.files.writing import printable
from guidance.interrogate.compose import Phrase, Words


def block(source: Path, phrases: Mapping[str, Sequence[Phrase]], words: Words) -> str:
    """Return the file's name and below it the words and the nearest phrases of each list."""
    lines = [printable(source)]
    if words.steps:
        lines += [f"  {words.score:.4f}  {printable(words.text)}"]
    width = max(map(len, phrases))
    for name, best in phrases.items():
        if best:
            shown = ", ".join(f"{printable(p.text)} {p.score:.3f}" for p in best)
            lines.append(f"  {name:<{width}}  {shown}")
    return "\n".join(lines)


def entry(source: Path, phrases: Mapping[str, Sequence[Phrase]], words: Words) -> dict[str, Any]:
    """Return what the JSON says of one image."""
    return {
        "file": str(source),
        "words": words.text,
        "cosine": round(words.score, 6),
        "steps": [
            {"phrase": p.text, "list": p.list, "cosine": round(p.score, 6)} for p in words.steps
        ],
        "lists": {
            name: [{"phrase": p.text, "cosine": round(p.score, 6)} for p in best]
            for name, best in phrases.items()
        },
    }
