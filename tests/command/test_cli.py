from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from guidance.command import cli
from guidance.errors import FileError, InputError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Greet."""

    prompt: cli.Prompt
    """Whom."""
    times: Annotated[int, cli.alias("-n")] = 1
    """How often."""
    loud: bool = False
    """Shout."""
    also: cli.Several[tuple[str, ...]] = ()
    """Others."""
    size: int = 8
    cuts: int = 2


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A prompt option of its own kind."""

    prompt: Annotated[cli.Several[tuple[str, ...]], cli.alias("-p")] = ()


def call(*argv, execute=lambda options: None, options=Options, **more):
    return cli.main(options, execute, prog="python -m guidance.greet", argv=argv, **more)


def parse(*argv, options=Options):
    seen = []
    assert call(*argv, execute=seen.append, options=options) == 0
    return seen[0]


def test_options_are_parsed():
    assert parse("a fox", "-n", "3", "--loud", "--also", "b", "--also", "c") == Options(
        prompt="a fox", times=3, loud=True, also=("b", "c")
    )


@pytest.mark.parametrize(
    "argv",
    [
        ("-p", "a fox", "--times", "2"),
        ("--prompt", "a fox", "-n", "2"),
        ("--times=2", "--prompts=a fox"),
    ],
)
def test_older_ways_to_give_the_prompt(argv):
    assert parse(*argv) == Options(prompt="a fox", times=2)


def test_repeated_prompts_are_joined():
    assert parse("-p", "a fox", "-p", "a wolf:2").prompt == "a fox | a wolf:2"


def test_a_prompt_option_of_the_technique_is_its_own():
    assert parse("-p", "a", "--prompt", "b", options=Listed).prompt == ("a", "b")


def test_help_and_usage_errors(capsys):
    assert call("--help") == 0
    assert "How often." in capsys.readouterr().out
    assert call("a fox", "--tmes", "2") == 2
    assert capsys.readouterr().err == (
        "guidance.greet: error: unknown option '--tmes'; did you mean --times?\n"
    )
    assert call() == 2
    assert call("a fox", "--times", "many") == 2


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("size must be 8"), 2, "guidance.greet: error: size must be 8\n"),
        (FileError("a\nb is empty"), 2, "guidance.greet: error: a\\nb is empty\n"),
        (KeyboardInterrupt(), 130, "\nguidance.greet: interrupted\n"),
        (MemoryError(), 1, "guidance.greet: error: out of memory; lower --size, --cuts\n"),
        (
            RuntimeError("CUDA out of memory. Tried"),
            1,
            "guidance.greet: error: out of memory; lower --size, --cuts\n",
        ),
        (SystemExit(3), 3, ""),
        (SystemExit("bye"), 1, ""),
        (SystemExit(), 0, ""),
    ],
)
def test_errors_become_exit_codes(capsys, error, code, message):
    def execute(options):
        raise error

    assert call("a fox", execute=execute) == code
    assert capsys.readouterr().err == message


@pytest.mark.parametrize("error", [RuntimeError("a bug"), BrokenPipeError(32, "ffmpeg")])
def test_other_errors_are_not_hidden(error):
    def execute(options):
        raise error

    with pytest.raises(type(error)):
        call("a fox", execute=execute)


def test_the_exit_code_of_the_work_is_kept():
    assert call("a fox", execute=lambda options: 1) == 1


def test_only_our_warnings_are_shown(capsys):
    def execute(options):
        warnings.warn_explicit("long\nprompt", UserWarning, "x.py", 1, module="guidance.clip.model")
        warnings.warn_explicit("noise", UserWarning, "x.py", 1, module="torch.nn")
        warnings.warn_explicit("noise", DeprecationWarning, "x.py", 1, module="guidance.step.loop")

    assert call("a fox", execute=execute) == 0
    assert capsys.readouterr().err == "guidance.greet: warning: long\\nprompt\n"


def test_base_gives_the_defaults():
    def base(arguments):
        assert cli.take_option(arguments, "--from") == "f"
        return Options(prompt="a wolf", times=4)

    seen = []
    assert call("--from", "f", "--loud", base=base, execute=seen.append) == 0
    assert seen == [Options(prompt="a wolf", times=4, loud=True)]


def test_take_option():
    arguments = ["a", "--from=x=y", "--", "--from", "z"]
    assert cli.take_option(arguments, "--from") == "x=y"
    assert cli.take_option(arguments, "--from") is None
    assert arguments == ["a", "--", "--from", "z"]
    with pytest.raises(InputError, match="--from needs a value"):
        cli.take_option(["--from"], "--from")


def test_one_of_several_commands_is_chosen(capsys):
    prog = "python -m guidance.greet"
    assert cli.choose(["dawn", "dusk"], prog, ["dusk", "dawn"]) == "dusk"
    assert cli.choose(["dawn", "dusk"], prog, ["dsuk"]) == 2
    assert capsys.readouterr().err == (
        "guidance.greet: error: unknown command 'dsuk'; did you mean dusk? (known: dawn, dusk)\n"
    )
    assert cli.choose(["dawn"], prog, []) == 2
    assert cli.choose(["dawn"], prog, ["--help"]) == 0
    said = capsys.readouterr()
    assert said.out == said.err == "usage: python -m guidance.greet {dawn} ...; each has --help\n"


def test_check_input_file(tmp_path):
    cli.check_input_file("--init", None)
    for name in (tmp_path / "none", "", "x\0y", "x" * 5000):
        with pytest.raises(InputError, match=r"--init: the file .* does not exist"):
            cli.check_input_file("--init", name)
    with pytest.raises(InputError, match=r"--init must be a file but .* is a folder"):
        cli.check_input_file("--init", tmp_path)


PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from test_cli import call
def execute(options):
    for number in range(100000):
        print(options.prompt, number, "\\u72d0")
sys.exit(call("a fox", execute=execute))
"""


def test_a_reader_that_goes_away_ends_the_program_quietly():
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(Path(__file__).parent)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout.readline() == "a fox 0 狐\n".encode()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 1
