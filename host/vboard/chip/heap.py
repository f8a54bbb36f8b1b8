"""The IDF heap: what is left of the chip's RAM outside MicroPython's first heap, and who takes it.

Python's heap grows into it, Wi-Fi, TLS and NVS handles live in it. The sizes are those of an ESP32 without SPIRAM, v1.23.0
(facts 10.7 and 10.8, bytes) and v1.26.1, and of a C3, v1.24.1 (these two emulated, with their real firmware); the other chips have
at least as much as the first, and count the same here. Growth of Python's heap: MicroPython py/gc.c (gc_try_add_heap),
ports/esp32/gccollect.c.

                                    ESP32, v1.23                C3                          ESP32, v1.26
    fresh boot                      main 112,640  rest 25,980                               together 139,852
    Wi-Fi active                    main  98,304  rest  1,728   main 98,340  rest 15,852    together  95,624
    Python's heap doubled                                       main 32,330  rest 15,852    together  35,430 to 35,730
                                                                largest piece 18,432 to 25,600
    ... and TLS open                main   7,936  rest  1,728   together 15,470             together  11,200
    ... and data come in                                                                    together   1,600

Of v1.26 all data came with 35,200 bytes free as the connection opened, and none with 33,200; between was not measured, and 34,000 stand for
the limit. These are with EC certificates: with an RSA chain the chip needs 39,300, and this model is kinder.
"""

from dataclasses import dataclass

from vboard.chip.panic import Panic


@dataclass(frozen=True, slots=True)
class Sizes:
    """Bytes. `main`: the largest region, `rest`: what lies in smaller ones, `piece` of it in one; `first`: Python's first heap;
    `hole`: what of the main region lies apart once Python's heap has grown into it; `shared`: what TLS was seen to take of the rest."""

    main: int
    rest: int
    piece: int
    first: int
    hole: int = 0
    shared: int = 0
    handshake: int = 39_000  # what it takes of TLS at its most


_ESP32 = Sizes(main=112_640, rest=25_980, piece=25_980, first=57_344)
_ESP32_126 = Sizes(main=105_500, rest=25_980, piece=25_980, first=57_344, shared=1_728, handshake=34_000)
_SIZES = {"esp32c3": Sizes(main=112_676, rest=40_104, piece=10_160, first=65_580, hole=13_900, shared=15_852)}
_WIFI_MAIN, _WIFI_REST = 14_336, 24_252
_TLS_OPEN = 33_024  # 16 KiB to receive, 4 KiB to send, contexts
_TLS_PIECE = 16_717  # its largest buffer: what comes in
_NVS_HANDLE = 53
_GRAIN = 256  # the largest piece is told in steps
# Objects are larger here than on a chip, buffers are not: the first part of what the program holds counts for less.
_OBJECTS, _OBJECT_SHARE = 60_000, 0.73
_PORT = 4_500  # what the port itself holds before boot.py
# A heap that is this full cannot take another larger object: it is in pieces.
_FULL = 0.85
_STREAM = 11_000  # what Python takes while data comes in over TLS


def _on_a_chip(used: int) -> int:
    objects = min(used, _OBJECTS)
    return _PORT + int(objects * _OBJECT_SHARE) + used - objects


class IdfHeap:
    """`start_kib`: what there is at the start, None as a stock board of that chip with that `version` of MicroPython. All sizes in
    bytes."""

    def __init__(self, start_kib: int | None = None, chip: str = "esp32", version: tuple[int, ...] = (1, 23)) -> None:
        self._sizes = sizes = _SIZES.get(chip, _ESP32_126 if version >= (1, 26) else _ESP32)
        self._main = sizes.main if start_kib is None else max(0, (start_kib << 10) - sizes.rest)
        self.wifi = False  # whether its driver runs
        self._connections: set[int] = set()
        self._opened = 0
        self._used = _PORT  # by Python, as far as is known
        self._lowest = self._main + sizes.rest
        self.nvs_handles = 0

    # --- who takes of it ------------------------------------------------------------------------------------------

    def start_wifi(self) -> bool:
        """Its driver starts with the first network.WLAN() (esp_wifi_init), whatever for, and stays; False where it has no room."""
        if not self.wifi and self.free < _WIFI_MAIN + _WIFI_REST:
            return False
        self.wifi = True
        return True

    def python_holds(self, used: int) -> None:
        """What the program holds on the virtual board's heap."""
        self._used = _on_a_chip(used)

    def open_nvs(self) -> bool:
        """Room for one more handle, which nothing ever closes; False where there is none."""
        if max(self.largest, self._rest) < _NVS_HANDLE:
            return False
        self.nvs_handles += 1
        return True

    def open_tls(self) -> int:
        """A number for `close_tls`. Raises Panic where mbedTLS gets no memory (facts 10.7: no MemoryError comes)."""
        if self.main + min(self._rest, self._sizes.shared) < self._sizes.handshake or self.largest < _TLS_PIECE:
            raise Panic("LoadProhibited", core=1)
        self._opened += 1
        self._connections.add(self._opened)
        self._lowest = min(self._lowest, self.free - self._sizes.handshake + _TLS_OPEN)
        return self._opened

    @property
    def tls_opened(self) -> int:
        """How many connections with TLS there have been since the last hard reset."""
        return self._opened

    def close_tls(self, number: int) -> None:
        self._connections.discard(number)

    def soft_reset(self) -> None:
        """Python's objects are gone, and TLS with them; what C code took is not."""
        self._connections.clear()
        self._used = _PORT

    def python_free(self, used: int) -> int:
        """gc.mem_free() where the program's objects, garbage among them, take that much of the virtual board's heap: with the
        system's largest piece, by which Python's heap may grow (py/gc.c, since 1.21)."""
        return max(0, self._sizes.first + self._growth - _on_a_chip(used)) + self.largest

    # --- what is left ---------------------------------------------------------------------------------------------

    @property
    def starved(self) -> bool:
        """Whether data over TLS stops: Python's heap must grow for it and takes the last large piece."""
        held, total = self._used + _STREAM, self._sizes.first + self._growth
        return bool(self._connections) and held > _FULL * total and self.main < total

    @property
    def _growth(self) -> int:
        """What Python's heap has taken: it doubles as long as it is full, or takes the largest piece."""
        grown = 0
        room = self._main - _WIFI_MAIN * self.wifi
        while self._used > _FULL * (self._sizes.first + grown) and grown < room:
            grown = min(room, grown + self._sizes.first + grown)
        return grown

    @property
    def main(self) -> int:
        taken = _WIFI_MAIN * self.wifi + self._growth + _TLS_OPEN * len(self._connections)
        return max(0, self._main - taken - max(0, self._nvs - (self._sizes.rest - _WIFI_REST * self.wifi)))

    @property
    def _nvs(self) -> int:
        return _NVS_HANDLE * self.nvs_handles

    @property
    def _rest(self) -> int:
        return max(0, self._sizes.rest - _WIFI_REST * self.wifi - self._nvs)

    @property
    def free(self) -> int:
        return self.main + self._rest

    @property
    def largest(self) -> int:
        return max(self._main_piece, self._rest_piece)

    @property
    def _main_piece(self) -> int:
        return max(0, self.main - self._sizes.hole * bool(self._growth)) // _GRAIN * _GRAIN

    @property
    def _rest_piece(self) -> int:
        return min(self._rest, self._sizes.piece) // _GRAIN * _GRAIN

    def info(self) -> list[tuple[int, int, int, int]]:
        """esp32.idf_heap_info(HEAP_DATA): size, free, largest free piece and lowest free so far, of each region."""
        self._lowest = min(self._lowest, self.free)
        rest = self._rest
        sizes = self._sizes
        return [
            (sizes.first + self._main, self.main, self._main_piece, max(0, self._lowest - rest)),
            (sizes.rest, rest, self._rest_piece, rest),
        ]
