"""A folder of the computer at the cable as the running application. `otactl dev` sends this into a board's memory at each
save; it is installed nowhere, and nothing is written to flash.

The files lie in memory, as a filesystem mounted where the application of the running slot lies: imports, `__file__`,
`open()` and sys.path are as they are for a release. Their bytes come piece by piece: the board asks for one by a line, the
computer answers with it and then waits for the next line. While memory is collected nobody takes bytes from a UART, and
259 are all that its ring holds; so memory is taken first.

    dev: next OFFSET    the piece that begins with that byte of the parcel
    dev: trial          a release is on trial: nothing is done
    dev: run            the application is loaded, and its first line is next
    dev: end            it came to its end
    dev: exit           it left by SystemExit
    dev: raised         it ended by an exception; the traceback follows

    piece  = bytes of the body as 4 hex digits, CRC-32 of what follows as 8, stand-in u8, body
    parcel = all files in a row, as one deflate stream (RFC 1951) where the firmware has a decoder

The stand-in is a byte that the body has not; the body has it in place of each byte that is 3, Ctrl-C. So Ctrl-C always is
one, and reaches the board in the middle of a piece too."""

import binascii
import io
import sys
import time

from micropython import const

try:
    import vfs
except ImportError:  # before MicroPython 1.23
    import os as vfs  # type: ignore[no-redef]

_HEAD = const(13)
_PIECE = const(1024)
_WINDOW_BITS = const(12)
_FILE, _FOLDER = const(0x8000), const(0x4000)
_ENOENT, _EROFS = const(2), const(30)
_CLOSE, _BUFFER = const(4), const(11)  # requests that MicroPython's import makes of a stream


class _First(io.IOBase):
    """The main module as an import reads it, which closes it when all is loaded, and runs it then."""

    def __init__(self, data: bytes) -> None:
        self._data = io.BytesIO(data)

    def readinto(self, buf):
        return self._data.readinto(buf)

    def ioctl(self, request, _):
        if request == _CLOSE:
            print("dev: run")
            return 0
        return 256 if request == _BUFFER else -1


class _Memory:
    """A filesystem that is only read. `files`: name -> content; folders are what the names say. `first`: the main module."""

    def __init__(self, files: dict, first: str) -> None:
        self._files, self._first, self._here = files, first, "/"

    def mount(self, readonly, mkfs) -> None:
        pass

    def umount(self) -> None:
        pass

    def stat(self, path):
        name = self._name(path)
        if name in self._files:
            return (_FILE, 0, 0, 0, 0, 0, len(self._files[name]), 0, 0, 0)
        if not name or any(one.startswith(name + "/") for one in self._files):
            return (_FOLDER, 0, 0, 0, 0, 0, 0, 0, 0, 0)
        raise OSError(_ENOENT)

    def ilistdir(self, path):
        self.stat(path)
        head = self._name(path)
        head += "/" if head else ""
        found = {}
        for name in self._files:
            if name.startswith(head):
                entry, below, _ = name[len(head) :].partition("/")
                found[entry] = (entry, _FOLDER, 0, 0) if below else (entry, _FILE, 0, len(self._files[name]))
        return iter(found.values())

    def open(self, path, mode):
        name = self._name(path)
        if "w" in mode or "a" in mode or "+" in mode:
            raise OSError(_EROFS)
        if name not in self._files:
            raise OSError(_ENOENT)
        data = self._files[name]
        if name == self._first:
            self._first = ""
            return _First(data)
        return io.BytesIO(data) if "b" in mode else io.StringIO(data.decode())

    def chdir(self, path) -> None:
        self.stat(path)
        name = self._name(path)
        self._here = "/" + name + "/" if name else "/"

    def getcwd(self):
        return self._here

    def remove(self, *_) -> None:
        raise OSError(_EROFS)

    rename = mkdir = rmdir = remove

    def _name(self, path):
        # Below the root, without a slash at either end.
        parts = []
        for part in (path if path[:1] == "/" else self._here + path).split("/"):
            if part == "..":
                parts = parts[:-1]
            elif part not in ("", "."):
                parts.append(part)
        return "/".join(parts)


def begin(where: str, files: list, parcel: int, packed: bool, main: str) -> None:
    """Get and run an application. `where`: its place; `files`: (name, bytes) in the order of the parcel, of so many bytes;
    `main`: the file of the main module."""
    if _on_trial():
        print("dev: trial")
        return
    stream = io.BytesIO(_received(parcel))
    if packed:
        import deflate

        stream = deflate.DeflateIO(stream, deflate.RAW, _WINDOW_BITS)
    found = {name: stream.read(size) for name, size in files}
    vfs.mount(_Memory(found, main), where)
    if where in sys.path:
        sys.path.remove(where)
    sys.path.insert(0, where)
    _no_updates()
    try:
        app = __import__("app")
        if hasattr(app, "main"):
            app.main()
        print("dev: end")
    except SystemExit:  # would be a soft reset, and the board's own program start
        print("dev: exit")
    except Exception as e:
        print("dev: raised")
        sys.print_exception(e)


def _on_trial() -> bool:
    # By otadata: Ctrl-C may have come before boot.py had begun the trial.
    try:
        from ota.boot import slots

        return slots.unsure or slots.Slots().on_trial()
    except Exception:  # no agent, or no slots: nothing can be on trial
        return False


def _received(size):
    whole = bytearray(size)
    piece, done = bytearray(_HEAD + _PIECE), 0
    view = memoryview(piece)
    while done < size:
        print("dev: next", done)
        sys.stdin.buffer.readinto(view[:_HEAD])
        count = int(bytes(view[:4]), 16)
        sys.stdin.buffer.readinto(view[_HEAD : _HEAD + count])
        if binascii.crc32(view[_HEAD - 1 : _HEAD + count]) != int(bytes(view[4:12]), 16):
            raise ValueError("garbled on the way")
        body = bytes(view[_HEAD : _HEAD + count])
        whole[done : done + count] = body.replace(bytes(view[_HEAD - 1 : _HEAD]), b"\x03")
        done += count
    return whole


def _no_updates() -> None:
    # An application that looks for updates by itself would find one, and the board leave for it.
    try:
        from ota import agent
        from ota.errors import OtaError
    except Exception:  # no agent, or a damaged one: the application sees to that
        return

    def nothing(*_, **__):
        return None

    def up_to_date(*_, **__):
        raise OtaError("up-to-date")

    def loop():
        while True:
            time.sleep(1)

    async def task(progress=None):
        import asyncio

        while True:
            await asyncio.sleep(60)

    agent.start = agent.check = nothing
    agent.update = agent.rollback = up_to_date
    agent.loop, agent.task = loop, task
