"""Fixtures of the tests of CLIPs."""

import socket

import pytest


@pytest.fixture
def no_network(monkeypatch):
    """Fail on any attempt to reach another machine, a look-up of its name included."""

    def refuse(*args: object, **_: object):
        raise AssertionError(f"asks the network for {args}")

    for name in ("create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
