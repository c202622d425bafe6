"""The commands on the model cards are commands of today; none is run, for they take hours."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from guidance.command import cli
from guidance.command.launch import Commands

CARDS = Path(__file__).parents[2] / "guidance" / "pretrained"
WORD = re.compile(r""""[^"]*"|'[^']*'|\S+""")


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return (training, arguments) of a card's shell blocks, variables put in."""
    found, known = [], {}
    for block in re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL):
        block = re.sub(r"(\w+)=([\"'])([^\"']*)\2", lambda m: re.sub(r"\\?\n", " ", m[0]), block)
        for line in block.replace("\\\n", " ").splitlines():
            line = re.sub(r"\$(\w+)", lambda m: known[m[1]], line)
            if assigned := re.match(r"(\w+)=([\"'])(.*)\2$", line):
                known[assigned[1]] = assigned[3]
            elif called := re.match(r"python -m guidance\.train\.(\w+) (.*)", line):
                words = [word.strip("\"'") for word in WORD.findall(called[2])]
                found.append((called[1], words))
    return found


ALL = [
    pytest.param(*command, id=f"{card.stem}-{number}-{command[0]}")
    for card in sorted(CARDS.glob("*.md"))
    for number, command in enumerate(commands(card.read_text(encoding="utf-8")))
]


def test_the_cards_have_commands_of_most_trainings():
    assert {p.values[0] for p in ALL} == {
        "clip", "data", "diffusion", "latents", "noise_aware", "prior", "ship", "text", "vqgan"
    }  # fmt: skip


@pytest.mark.parametrize(("training", "arguments"), ALL)
def test_a_command_on_a_card_is_understood(training, arguments, capsys, tmp_path, monkeypatch):
    main = importlib.import_module(f"guidance.train.{training}.__main__").main
    if isinstance(main, Commands):
        main, arguments = main.commands[arguments[0]], arguments[1:]
    monkeypatch.chdir(tmp_path)
    for name in arguments:  # presets of their own, which the cards print
        if name.endswith(".toml"):
            (tmp_path / name).write_text("")
    code = cli.main(
        main.options, lambda _: 0, prog="card", argv=arguments, base=main.base, taken=main.taken
    )
    assert code == 0, capsys.readouterr().err
