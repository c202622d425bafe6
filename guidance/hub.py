"""The model hub: quick to say that it is out of reach, and quiet otherwise."""

from __future__ import annotations

import contextlib
import logging
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence the log while a model loads, and skip the hub client's retries when offline."""
    from huggingface_hub import constants

    before, offline = logging.root.manager.disable, constants.HF_HUB_OFFLINE
    logging.disable(logging.ERROR)
    constants.HF_HUB_OFFLINE = offline or not _reachable(constants.ENDPOINT)
    try:
        yield
    finally:
        logging.disable(before)
        constants.HF_HUB_OFFLINE = offline


def _reachable(url: str) -> bool:
    """Return whether a connection to the host of `url` opens within 5 seconds."""
    if getproxies():
        return True  # the host need not be reachable directly
    try:
        with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port or 443), 5):
            return True
    except OSError:
        return False
