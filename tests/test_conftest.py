"""The tests' own safeguards work."""

from __future__ import annotations

import socket
import warnings

import hypothesis
import pytest
import torch


@pytest.mark.parametrize("address", [("192.0.2.1", 80), ("example.org", 443), ("8.8.8.8", 53)])
def test_remote_addresses_are_denied(address: tuple[str, int]) -> None:
    with socket.socket() as one, pytest.raises(RuntimeError, match="only loopback is allowed"):
        one.connect(address)
    with pytest.raises(RuntimeError, match="only loopback is allowed"):
        socket.create_connection(address, timeout=1)


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_examples_are_the_same_on_every_run() -> None:
    assert hypothesis.settings().derandomize
    assert torch.get_num_threads() == 1


def test_a_warning_is_an_error() -> None:
    with pytest.raises(UserWarning, match="like this"):
        warnings.warn("like this", stacklevel=1)
