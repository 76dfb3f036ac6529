"""Ports for servers that start soon."""

import socket

import pytest

from deploy import ports


def test_a_free_port_is_offered_once_and_a_taken_one_never() -> None:
    taken = ports.free()
    with socket.create_server(("127.0.0.1", taken)):
        offered = [ports.free() for _ in ports._SERVERS]  # all the way round
    assert taken not in offered
    assert len(set(offered[:100])) == 100


def test_no_client_is_given_a_port_that_was_offered_to_a_server() -> None:
    """Or the server would not start: the near end of a connection has its port to itself."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        clients = [socket.create_connection(server.getsockname()) for _ in range(50)]
        near = {client.getsockname()[1] for client in clients}
        for client in clients:
            client.close()
    if min(near) < ports._SERVERS.stop:
        pytest.skip("this system gives clients any port")
    assert max(ports.free() for _ in range(50)) < min(near)
