"""The model hub: quick to say that it is out of reach, and quiet otherwise."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies

from guidance.errors import GuidanceError, ModelError, line, nearest

_LOGGERS = ("huggingface_hub", "httpx", "httpcore", "urllib3", "filelock")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the hub client while a model loads, and skip its retries when offline.

    Other loggers are left alone: what open_clip or transformers have to say about the model that
    they build must be heard.
    """
    from huggingface_hub import constants

    with _set(offline=constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT)):
        yield


@contextlib.contextmanager
def local() -> Iterator[None]:
    """Let nothing ask the network while a model is loaded from files."""
    with _set(offline=True):
        yield


@contextlib.contextmanager
def _set(*, offline: bool) -> Iterator[None]:
    from huggingface_hub import constants

    loggers = [logging.getLogger(name) for name in _LOGGERS]
    before, levels = constants.HF_HUB_OFFLINE, [logger.level for logger in loggers]
    constants.HF_HUB_OFFLINE = offline
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _reachable(url: str) -> bool:
    """Return whether a connection to the host of `url` opens within 5 seconds."""
    if getproxies():
        return True  # the host need not be reachable directly
    try:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port or 443), 5):
            return True
    except OSError:
        return False


@contextlib.contextmanager
def reached(what: str, name: str, repositories: Sequence[str], offline: str) -> Iterator[None]:
    """Tell in one line why a download in here failed; our own errors pass as they are.

    Args:
        what: Kind of thing, as in "the VQGAN".
        name: Repository in the hub.
        repositories: Known ones, to suggest the nearest if `name` is none of them.
        offline: What to do without a network.

    Raises:
        ModelError: Anything but a `GuidanceError` was raised.
    """
    with quiet():
        try:
            yield
        except GuidanceError:
            raise
        except Exception as error:  # the hub client raises unrelated types
            near = "" if name in repositories else nearest(name, repositories)
            raise ModelError(
                f"{what} {name} is no local file or folder, is not in the hub's cache and could "
                f"not be downloaded ({line(error)}){near}; {offline}"
            ) from error
