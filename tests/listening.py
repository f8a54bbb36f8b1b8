"""How a test's server stops to listen."""

import socket
import threading


def end(listener: socket.socket, accepting: threading.Thread) -> None:
    """Wake the thread that waits in accept(), and close what it waits on. Closed alone, the descriptor is soon another
    server's, in the same process, and the thread takes that one's connections."""
    listener.shutdown(socket.SHUT_RDWR)
    accepting.join()
    listener.close()
