"""``python -m guidance.evaluate naming``: score what somebody called the pictures of a sheet.

python -m guidance.evaluate naming --key blind/key.csv --answers blind/judge/answers.csv
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any

from guidance.errors import counted, nearest
from guidance.evaluate.blind import scores
from guidance.evaluate.blind.answers import read_answers, read_key
from guidance.evaluate.blind.options import NamingOptions
from guidance.evaluate.blind.scores import Answers, Key
from guidance.evaluate.blind.words import canonical
from guidance.files.facts import rounded, write_json
from guidance.files.tables import Figures, table
from guidance.files.text import read_prompts

PLACES = ("judge/names.txt", "names.txt")  # beside the key


def run(options: NamingOptions) -> None:
    """Read key and answers, print the tables and write the file."""
    key = read_key(options.key)
    judges = {str(path): read_answers(path, sorted(key)) for path in options.answers}
    beside = (options.key.parent / place for place in PLACES)
    place = options.names or next((p for p in beside if p.is_file()), None)
    names = read_prompts(str(place)) if place else []
    _warn_of_others(key, judges, names)
    found = figures(key, judges, len(names))
    print(report(found), flush=True)
    if options.json:
        write_json(options.json, rounded(found))


def figures(key: Key, judges: Mapping[str, Answers], names: int) -> dict[str, Any]:
    """Return all figures.

    Args:
        key: what is right.
        judges: answers by the name of their file.
        names: how many there were to choose from; 0 if that is not known.
    """
    all_of = list(judges.values())
    found: dict[str, Any] = {"pictures": len(key), "names": names or None}
    found["by chance, per cent"] = 100 / names if names else None
    found["judges"] = {name: scores.of_judge(key, answers) for name, answers in judges.items()}
    if len(judges) > 1:
        found["all"] = scores.of_all(key, all_of)
        found["agreement"] = scores.agreement(key, all_of)
    found["prompts"] = scores.of_prompts(key, all_of)
    found["confusions"] = scores.confusions(key, all_of)
    return found


def report(found: Mapping[str, Any]) -> str:
    """Return the tables of all figures."""
    rows: Figures = dict(found["judges"])
    if "all" in found:
        rows["all judges"] = found["all"]
    if found["names"]:
        rows[f"by chance, of {counted(found['names'], 'name')}"] = {
            "per cent": found["by chance, per cent"]
        }
    parts = [table("named right", rows)]
    if "agreement" in found:
        parts.append(table("agreement", {"of the judges": found["agreement"]}))
    parts.append(table("prompt", found["prompts"]))
    taken = {f"{c['name']}: {c['called']}": {"times": c["times"]} for c in found["confusions"]}
    parts += [table("taken for another", taken)] if taken else []
    return "\n\n".join(parts)


def _warn_of_others(key: Key, judges: Mapping[str, Answers], names: list[str]) -> None:
    """Tell which answers are none of the names to choose from, be it for a slip of the pen."""
    known = {canonical(name) for name in names}
    known |= {canonical(n) for row in key.values() for n in (row.name, *row.accepted)}
    for judge, answers in judges.items() if names else ():
        for number, answer in sorted(answers.items()):
            if answer.name and canonical(answer.name) not in known:
                warnings.warn(
                    f"{judge}: number {number} is called {answer.name!r}, which is none of the "
                    f"{len(names)} names{nearest(answer.name, names, n=1)}",
                    stacklevel=1,
                )
