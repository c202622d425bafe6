"""Call a command as a user does, in this process."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

Call = Callable[..., tuple[int, str, str]]


def calling(
    main: Callable[[Sequence[str]], int],
    capsys: pytest.CaptureFixture[str],
    *always: object,
    after: int = 0,
) -> Call:
    """Return a function: arguments → exit code, stdout, stderr.

    Args:
        always: arguments that are added to those of every call.
        after: how many of the others stay before them.
    """

    def run(*argv: object) -> tuple[int, str, str]:
        code = main([str(a) for a in (*argv[:after], *always, *argv[after:])])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run
