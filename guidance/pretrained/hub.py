"""The model hub: quick to say that it is out of reach, and quiet otherwise."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Generator, Sequence
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from guidance.errors import GuidanceError, ModelError, line, nearest

SECONDS = 5  # to wait for the hub
_LOGGERS = ("huggingface_hub", "httpx", "httpcore", "urllib3", "filelock")


@contextlib.contextmanager
def quiet() -> Generator[None]:
    """Silence the hub client while a model loads, and skip its retries when offline.

    Other loggers are left alone: what open_clip or transformers have to say about the model that
    they build must be heard.
    """
    from huggingface_hub import constants

    with _set(offline=constants.HF_HUB_OFFLINE or not _reachable(constants.ENDPOINT)):
        yield


@contextlib.contextmanager
def local() -> Generator[None]:
    """Let nothing ask the network while a model is loaded from files."""
    with _set(offline=True):
        yield


@contextlib.contextmanager
def _set(*, offline: bool) -> Generator[None]:
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
    answers: list[bool] = []
    # looking up the name may take longer than any timeout of a socket, so it is left behind
    asking = threading.Thread(target=lambda: answers.append(_connects(url)), daemon=True)
    asking.start()
    asking.join(SECONDS)
    return answers == [True]


def _connects(url: str) -> bool:
    host, port = urlsplit(url).hostname or "", urlsplit(url).port or 443
    proxy = None if proxy_bypass(host) else getproxies().get("https") or getproxies().get("all")
    try:
        if proxy is None:
            socket.create_connection((host, port), SECONDS).close()
            return True
        if "://" not in proxy:
            proxy = f"http://{proxy}"
        at = urlsplit(proxy)
        with socket.create_connection((at.hostname, at.port or 80), SECONDS) as connection:
            if at.scheme == "http":  # what it does with our request is seen at the download
                connection.sendall(
                    f"CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()
                )
                return bool(connection.recv(1))
        return True
    except (OSError, ValueError):
        return False


@contextlib.contextmanager
def reached(what: str, name: str, repositories: Sequence[str], offline: str) -> Generator[None]:
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
