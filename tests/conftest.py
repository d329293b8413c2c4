"""What holds for every test: no network, one torch thread, and the same examples of hypothesis on every run."""

from __future__ import annotations

import ipaddress
import os
import socket
from typing import Any

import hypothesis
import pytest
import torch

hypothesis.settings.register_profile("dltools", derandomize=True, deadline=None, database=None, max_examples=50)
hypothesis.settings.load_profile("dltools")
torch.set_num_threads(1)
os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start


class NetworkDenied(RuntimeError):
    """A test reached for the network."""


def refuse_remote(family: int, address: Any) -> None:
    """Raise unless the address is a Unix socket, a loopback address or a name for one."""
    if family == socket.AF_UNIX:
        return
    host = address[0] if isinstance(address, tuple) else address
    if host in ("", "localhost", socket.gethostname()):
        return
    try:
        remote = not ipaddress.ip_address(str(host).partition("%")[0]).is_loopback
    except ValueError:
        remote = True
    if remote:
        raise NetworkDenied(f"a test tried to reach {address!r}; only loopback is allowed")


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets connect to this machine only; looking up a remote name is refused too."""
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def guarded_connect(self: socket.socket, address: Any) -> None:
        refuse_remote(self.family, address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        refuse_remote(self.family, address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        if host is not None:
            refuse_remote(socket.AF_INET, (host.decode() if isinstance(host, bytes) else host,))
        return getaddrinfo(host, *args, **kwargs)

    monkeypatch.setattr(socket.socket, "connect", guarded_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", guarded_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", guarded_getaddrinfo)
