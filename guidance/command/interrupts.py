"""What Ctrl-C does: leave at once while a program starts, stop after a step, or raise.

An exception out of the middle of an import may be swallowed, or end in somebody else's traceback;
so as long as a program only starts, Ctrl-C ends the process itself, with exit code 130.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Generator
from typing import Any

from guidance.command.program import is_starting, name_so_far

EXIT = 130


class _Leave:
    """The handler that ends the process, after `tidy`, without a traceback."""

    def __init__(self, tidy: Callable[[], None] | None = None):
        self._tidy = tidy

    def __call__(self, signum: int, frame: object) -> None:
        signal.signal(signum, signal.SIG_IGN)
        with contextlib.suppress(Exception):
            if self._tidy is not None:
                self._tidy()
            os.write(2, f"\n{name_so_far()}: interrupted\n".encode())
        os._exit(EXIT)


_program = False  # whether this process is `python -m guidance…` or `clip-guidance`


def begin() -> None:
    """Let Ctrl-C end the process if Python is importing the package to run a command of it.

    Where somebody else handles Ctrl-C, or it is ignored, that stays so.
    """
    global _program
    if is_starting() and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        _program = True
        signal.signal(signal.SIGINT, _Leave())


@contextlib.contextmanager
def raised() -> Generator[None]:
    """Let Ctrl-C raise `KeyboardInterrupt` in a program that so far would leave at once."""
    if not _program:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


class Interrupts:
    """Ctrl-C and SIGTERM during a run, phase by phase; on leaving all is as it was before.

    Outside the main thread, and for signals that are ignored, nothing changes.

    Attributes:
        asked: whether one has come since `stop_after_step`.
        raised: whether one has raised.
    """

    def __init__(self) -> None:
        self.asked = self.raised = self._raise = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interrupts:
        if threading.current_thread() is threading.main_thread():
            handlers = {s: signal.getsignal(s) for s in (signal.SIGINT, signal.SIGTERM)}
            # None: set by other than Python, which alone could put it back
            self._before = {s: h for s, h in handlers.items() if h not in (signal.SIG_IGN, None)}
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def leave_at_once(self, tidy: Callable[[], None]) -> None:
        """Let Ctrl-C end a program after `tidy`; in other processes it raises as before."""
        if _program and signal.SIGINT in self._before:
            signal.signal(signal.SIGINT, _Leave(tidy))

    def stop_after_step(self) -> None:
        """Let the first one set `asked` and each further one raise `KeyboardInterrupt`."""
        self.asked = self._raise = False
        for number in self._before:
            signal.signal(number, self._handle)

    def stop_now(self) -> None:
        """Let each one raise `KeyboardInterrupt`."""
        self._raise = True

    def _handle(self, signum: int, frame: object) -> None:
        again, self.asked = self.asked, True
        if again or self._raise:
            self.raised = True
            raise KeyboardInterrupt
