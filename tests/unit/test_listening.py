"""Servers listen on every address that there is, IPv6 and IPv4."""

from __future__ import annotations

import socket

import pytest

from modelyard.listening import listening_socket


def reaches(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), timeout=2):
            return True
    except OSError:
        return False


def test_ipv4_and_ipv6() -> None:
    with listening_socket(0) as found:
        port = found.getsockname()[1]
        assert reaches("127.0.0.1", port)
        assert reaches("::1", port) or not socket.has_dualstack_ipv6()


def test_a_kernel_without_an_address_of_ipv6_listens_on_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    create = socket.create_server

    def without(address: tuple[str, int], **options: object) -> socket.socket:
        if address[0] == "::":
            raise OSError("cannot assign requested address")
        return create(address, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "create_server", without)
    with listening_socket(0) as found:
        assert found.family == socket.AF_INET
        assert reaches("127.0.0.1", found.getsockname()[1])


def test_a_port_that_is_taken_is_an_error() -> None:
    with listening_socket(0) as found, pytest.raises(OSError, match="in use"):
        listening_socket(found.getsockname()[1])
