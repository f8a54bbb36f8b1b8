"""The gateway of one board must leave those of the others alone."""

import socket
import threading

import pytest
from vboard.link.gateway import Gateway
from vboard.link.links import Links
from vboard.link.network import Network


@pytest.mark.parametrize("talking", [False, True], ids=["idle", "with a connection"])
def test_closed_gateway_leaves_no_thread_behind(talking: bool) -> None:
    """One that still waits on a file descriptor takes a connection of the next board, whose descriptor it is by then."""
    links = Links(Network(), bytes(6))
    before = set(threading.enumerate())
    made = Gateway(lambda: links)
    board = socket.create_connection(("127.0.0.1", made.port)) if talking else None
    made.close()
    for thread in set(threading.enumerate()) - before:
        thread.join(2)
    assert not {thread for thread in threading.enumerate() if thread.is_alive()} - before
    if board:
        board.close()
