"""The agent's parsers, each behind one call that takes any bytes: runs in CPython and in MicroPython, on a board's heap.

A call returns what the parser came to, as plain values, or raises OtaError. Whatever else it raises is a finding. Each
imports what it needs itself: a board has no room for all of them at once.
"""

import binascii
import hashlib
import io
import sys

from ota.errors import OtaError

SPACE = 1 << 20  # bytes of a slot
DIGEST = hashlib.sha256(b"an image").digest()  # that the seeds of `sector` and `p256` sign
CRC_AT, BLOCK = 1196, 1216  # of a block of a signature sector
IMAGE_KEYS: list = []  # digests that `sector` trusts
RELEASE_KEYS: dict = {}  # keyid -> modulus that `envelope` trusts
DEVICE: list = []  # the text of /etc/ota/device.json that `encryption` has
# half of a surrogate pair, which JSON lets through, is three bytes in MicroPython
_AS_IT_IS = () if sys.implementation.name == "micropython" else ("utf-8", "surrogatepass")
STEPS = 5000  # of one input: more is a hang


def drive(generator, clock=None):
    """Drive steps to their end, and give what they return. `clock`: a network.Clock, which the waits move on."""
    for _ in range(STEPS):
        try:
            step = next(generator)
        except StopIteration as e:
            return e.value
        if clock:
            clock.now += step.wait_ms
    raise AssertionError("it does not end")


class Slot:
    """A partition that holds these bytes, and is erased behind them. `sector`: how many of them are in one."""

    def __init__(self, data: bytes, sector: int = 4096) -> None:
        self._data, self._sector = data, sector

    def readblocks(self, block: int, buf, offset: int = 0) -> None:
        at = block * self._sector + offset
        part = self._data[at : at + len(buf)]
        buf[: len(part)] = part
        for i in range(len(part), len(buf)):
            buf[i] = 0xFF


class File:
    # Stands for open() in a module of the agent: the file has these bytes, whatever its name.
    def __init__(self, data: bytes) -> None:
        self._data = data

    def __call__(self, path: str, mode: str = "r"):
        if sys.implementation.name == "micropython":
            return io.BytesIO(self._data)  # json reads bytes of any file there
        return io.TextIOWrapper(io.BytesIO(self._data), "utf-8")


class Nvs:
    """The agent's namespace, where two documents have a blob each."""

    def __init__(self, **blobs: bytes) -> None:
        self._blobs = blobs

    def get_blob(self, key: str, buf) -> int:
        if key not in self._blobs or len(self._blobs[key]) > len(buf):
            raise OSError(-4354)
        data = self._blobs[key]
        buf[: len(data)] = data
        return len(data)

    def set_blob(self, key: str, value) -> None:
        self._blobs[key] = value.encode() if isinstance(value, str) else value

    def get_i32(self, key: str) -> int:
        raise OSError(-4354)

    def set_i32(self, key: str, value: int) -> None:
        pass

    def commit(self) -> None:
        pass


def _state() -> dict:
    from ota.boot import record

    return dict(record._NO_STATE, floor_sequence=3, floor_security=1, failed=[[5, "deadline"]])


def parse_envelope(data: bytes):
    """All of the file of a channel."""
    from ota.release import envelope

    return sorted(envelope.open_envelope(data, (1, RELEASE_KEYS, 1)))


def parse_payload(data: bytes):
    """What is left of an envelope once a known key has vouched for it: all checks that a look makes."""
    from ota.release import demand, envelope, policy

    payload = envelope._payload(data, 1)
    targets = policy.choose(payload, "demo", "esp32", "ESP32_GENERIC", "240ac4000001", None)
    target = targets.get("firmware") or targets["application"]
    policy.apply(payload, targets, _state(), {"sequence": 2, "sha256": "ab" * 32, "app": "ab" * 8}, SPACE)
    demand.Demand({"required": False, "keys": ["ab" * 32], "verify": "board"}, target)
    picked = [payload[name] for name in ("version", "published", "sequence", "security_version")]
    return picked + [target[name] for name in ("chip", "url", "size", "sha256")]


def parse_config(data: bytes):
    """/etc/ota/config.json."""
    from ota import config

    config.open = File(data)
    return config.load()


def parse_keys(data: bytes):
    """/etc/ota/keys.json."""
    from ota.release import keys

    keys.open = File(data)
    return [role_of(keys.load("keys.json", role)) for role in ("release", "root")]


def role_of(loaded: tuple) -> list:
    version, trusted, threshold = loaded
    return [version, sorted(trusted), threshold]


def parse_record(data: bytes):
    """A document of the record, of which two copies were found; what is read of it can be written and read again."""
    from ota.boot import store

    first, _, second = data.partition(b"\0")
    nvs = Nvs(state0=first, state1=second)
    store.handle = lambda: nvs
    try:
        found = store.Document("state", _state())
    except (MemoryError, RuntimeError):  # brackets without end, which no network can write there; errors.coded() has it
        raise OtaError("no-memory")
    found.save()
    again = store.Document("state", _state())
    if again.value != found.value:
        raise AssertionError("read otherwise than it was written")
    return found.value


def parse_otadata(data: bytes):
    """Its two sectors, of which 32 bytes count; the slots are two to sixteen."""
    from ota.boot import otadata

    slot = Slot(data[1:65], sector=32)
    count = 2 + (data[0] if data else 0) % 15
    return [otadata.entries(slot), sorted(otadata.states(slot, count).items())]


def parse_image(data: bytes):
    """The head of a file, then all of its segments."""
    from ota.release import facts, image, signed

    image.check_head(data, "esp32")
    found = facts.of(data, "esp32")
    return [found, signed._end(Slot(data), len(data) + 4096)]


def parse_sector(data: bytes):
    """A signature sector. The first byte says which blocks get a right CRC, and which the image's digest, so that what
    lies behind both checks is reached."""
    from ota.release import sector

    raw = bytearray(b"\xff" * 4096)
    raw[: len(data[1:4097])] = data[1:4097]
    flags = data[0] if data else 0
    sector.say = lambda *_: None
    for i, at in enumerate((0, BLOCK, 2 * BLOCK)):
        if flags >> (i + 3) & 1:
            raw[at + 4 : at + 36] = DIGEST
        if flags >> i & 1:
            raw[at + CRC_AT : at + CRC_AT + 4] = binascii.crc32(raw[at : at + CRC_AT]).to_bytes(4, "little")
    drive(sector.check(memoryview(raw), DIGEST, IMAGE_KEYS))
    return True


def parse_signature(data: bytes):
    """RSASSA-PSS: a modulus of any size, then the signature."""
    from ota.release import signature

    return signature.verify_pss(int.from_bytes(data[:384], "big"), DIGEST, data[384:])


def parse_p256(data: bytes):
    """ECDSA: the public key's two numbers, then the signature's."""
    from ota.release import p256

    numbers = [int.from_bytes(data[at : at + 32], "big") for at in (0, 32, 64, 96)]
    return drive(p256.verify(*numbers, DIGEST))


class _File:
    # Stands for an HttpSource, of which all has come.
    etag, ended = None, True

    def __init__(self, data: bytes) -> None:
        self._data, self.size, self.offset = data, len(data), 0

    def open(self, offset: int, etag):
        return
        yield

    def fill(self, buf, have: int, want: int) -> int:
        part = self._data[self.offset : self.offset + want - have]
        buf[have : have + len(part)] = part
        self.offset += len(part)
        return have + len(part)

    def close(self) -> None:
        pass


def parse_delta(data: bytes):
    """A record of a delta, whose hash is right, as a faulty encoder might sign it: what it inflates to. The first byte says how
    many sectors it makes, and how much the last one is short of a whole one."""
    from ota.install import delta

    flags = data[0] if data else 0
    raw, sectors, base = data[1:4097], 1 + flags % 4, bytes(range(256)) * 40
    size = 4096 * sectors - flags // 4
    # one stored block of deflate
    packed = b"\x01" + len(raw).to_bytes(2, "little") + (65535 - len(raw)).to_bytes(2, "little") + raw
    head = len(packed).to_bytes(2, "little") + bytes([sectors, 0]) + bytes(16)
    header = b"OTAd\x01\x0a" + b"".join(
        [n.to_bytes(w, "little") for n, w in ((len(packed), 2), (size, 4), (len(base), 4))]
    )
    if sys.implementation.name != "micropython":  # where a number is so much room
        delta.io = type("", (), {"BytesIO": staticmethod(lambda room: io.BytesIO())})
    found = {"room": len(packed), "base_size": len(base), "chain": hashlib.sha256(head + packed).digest()[:16].hex()}
    image = type("", (), {"size": size})
    source, out, made = (
        delta.Delta(_File(header + head + packed), image, found, Slot(base)),
        memoryview(bytearray(4096)),
        0,
    )
    drive(source.open(0, None))
    while source.offset < size:
        want = min(4096, size - source.offset)
        source.fill(out, 0, want)
        made = binascii.crc32(out[:want], made)
    return made


def parse_glob(data: bytes):
    """A build's pattern, of at most 64 characters, and a build."""
    from ota.release import policy

    pattern, _, text = text_of(data[:128]).partition("\n")
    return policy.glob(pattern[:64], text[:64])


def text_of(data: bytes) -> str:
    """Any bytes as text, one character each."""
    return "".join([chr(byte) for byte in data])


PARSERS = {
    "envelope": parse_envelope, "payload": parse_payload, "config": parse_config, "keys": parse_keys,
    "record": parse_record, "otadata": parse_otadata, "image": parse_image, "sector": parse_sector,
    "signature": parse_signature, "p256": parse_p256, "glob": parse_glob,
    "delta": parse_delta,
}  # fmt: skip


def outcome(parser, data: bytes) -> list:
    """["ok", value], or ["code", code, detail]. Raises whatever no parser may raise."""
    try:
        return ["ok", parser(data)]
    except OtaError as e:
        return ["code", e.code, e.detail]


def told(value) -> str:
    """A value as one text, the same in both interpreters: dicts are sorted, floats have three digits."""
    if isinstance(value, dict):
        return "{" + ",".join([told(key) + ":" + told(value[key]) for key in sorted(value)]) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join([told(item) for item in value]) + "]"
    if isinstance(value, float):
        return f"{value:.3f}"
    if isinstance(value, (str, bytes, bytearray)):
        raw = value.encode(*_AS_IT_IS) if isinstance(value, str) else bytes(value)
        if len(raw) > 400:  # as text it would take ten times the memory of the parser
            return f"{len(raw)} bytes, CRC {binascii.crc32(raw):08x}"
        return "'" + "".join([chr(c) if 32 <= c < 127 and c != 39 else f"%{c:02x}" for c in raw]) + "'"
    return str(value)
