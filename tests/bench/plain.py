"""An updater as people write them, to measure ours beside: plain HTTP, 4 KiB at a time, no signature, no hash, no resume.
Where its image comes from is a server of the standard library."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PORT = 8080
PROGRAM = """
import network, socket, time
from esp32 import Partition
wlan = network.WLAN(network.STA_IF)
wlan.active(True)
wlan.connect("virtual", "password")
while not wlan.isconnected():
    time.sleep_ms(20)
slot = Partition(Partition.RUNNING).get_next_update()
sock = socket.socket()
sock.connect(socket.getaddrinfo({host!r}, {port})[0][-1])
sock.write(b"GET /image.bin HTTP/1.0\\r\\nHost: {host}\\r\\n\\r\\n")
left = 0
while True:
    line = sock.readline()
    if line == b"\\r\\n":
        break
    if line.lower().startswith(b"content-length:"):
        left = int(line.split(b":")[1])
block, number = bytearray(4096), 0
while left:
    view, have = memoryview(block), 0
    while have < min(4096, left):
        have += sock.readinto(view[have:min(4096, left)])
    slot.writeblocks(number, block)
    number += 1
    left -= have
sock.close()
slot.set_boot()
"""


@contextmanager
def served(image: bytes) -> Iterator[int]:
    """A server with that one file; its port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(image)))
            self.end_headers()
            self.wfile.write(image)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
