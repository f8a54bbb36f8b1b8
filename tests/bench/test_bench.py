"""`make bench`: ratios measured in one run. Nothing here passes or fails by a time."""

import time
from pathlib import Path

import cable
import devicekeys
import rig as rigs
from otactl.board import copying
from otactl.board.link import Link
from otactl.board.push import push
from otactl.release.encrypted import Asked
from rig import Rig, image, started

SIZE = 1 << 20


def test_price_of_the_signature(rig: Rig) -> None:
    """RSA-3072 verification in pure Python against hashing 1 MiB, both in the same VM."""
    board = started(rig.board())
    out = rigs.ask(
        board,
        "import time, hashlib\nfrom ota.release import keys, signature\n"
        "n = list(keys.load('/etc/ota/keys.json')[1].values())[0]\n"
        "t = time.ticks_us()\nfor _ in range(10):\n    signature.verify_pss(n, bytes(32), bytes(383) + b'\\x05')\n"
        "a = time.ticks_diff(time.ticks_us(), t) // 10\nb = bytearray(4096)\nh = hashlib.sha256()\n"
        "t = time.ticks_us()\nfor _ in range(256):\n    h.update(b)\n"
        "print(a, time.ticks_diff(time.ticks_us(), t))",
    )
    verify, hashing = (int(word) for word in out.split())
    print(f"\nverifying a signature takes {verify / hashing:.2f} of the time of hashing 1 MiB")


def test_resume_saves_the_download(rig: Rig) -> None:
    board = started(rig.board())
    rig.publish("1.1.0", image(9, size=SIZE))
    rig.network.bytes_per_s = 2_000_000
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: download 7", 30, since=seen)
    rig.network.bytes_per_s = None
    board.power_off()
    began = time.monotonic()
    board.power_on()
    board.wait_text("ota: switch", 60, since=seen)
    again = [t.done - t.start for t in rig.transfers if t.path.endswith("esp32.bin")][-1]
    print(f"\nafter a cut the rest was {again / SIZE:.2f} of the image, in {time.monotonic() - began:.1f} s here")


def test_push_beside_mpremote_cp(rig: Rig) -> None:
    """The same bytes over a UART of 115200 baud, with a chip's flash times."""
    board = cable.cabled(rig, baud=115200, real_time=True)
    data = cable.wordy(100 << 10)
    rig.publish("1.1.0", data)
    with Link(str(board.port)) as link:
        copied = copying.measure(link, data, lambda *_: None)
        link.enter_repl()
        pushed = [push(link, cable.newest(rig), lambda _: None)]
    seen = len(board.text)
    rig.publish("1.2.0", image(7, size=100 << 10))
    with Link(str(board.port)) as link:
        pushed.append(push(link, cable.newest(rig), lambda _: None))
    assert copied and board.text[seen:].count("ota: confirmed") == 1
    print(f"\nmpremote cp: {copied.rate / 1024:.1f} KiB/s for {copied.size} bytes")
    for what, one in zip(("text", "noise"), pushed, strict=True):
        print(f"push of {what}: {one.rate / copied.rate:.1f} times that, {one.wire / one.sent:.2f} of it on the cable")


BLOCKS = """
import time, hashlib
from ota.install.decrypt import Decrypted
class File:
    size = offset = 0
    ended, etag, close = False, None, None
    def fill(self, buf, have, want):
        self.offset += want - have
        return want
source = Decrypted(File(), bytes(32), bytes(16))
source.offset = 4096
block, digest = memoryview(bytearray(4096)), hashlib.sha256()
def took(of, *what):
    began = time.ticks_us()
    for _ in range(256):
        of(*what)
    return time.ticks_diff(time.ticks_us(), began)
print(took(source.fill, block, 0, 4096), took(digest.update, block))
"""


def test_encrypted_image_beside_a_plain_one(rig: Rig, tmp_path: Path) -> None:
    """The same image over the same network, in the same VM; and decryption alone, beside hashing."""
    key = devicekeys.make(tmp_path, "ecc256")
    board = started(rig.board())
    rigs.configure(board, encryption={"required": False})
    with rigs.repl(board) as link:
        link.put("/etc/ota/device.json", key.file.encode())
    seconds = {}
    for number, asked in enumerate((None, Asked(public=key.public))):
        rig.publish(f"2.{number}.0", image(9 + number, size=SIZE), encryption=asked)
        seen = len(board.text)
        board.reset()
        board.wait_text("ota: release", 60, since=seen)
        began = time.monotonic()
        board.wait_text("ota: verify", 60, since=seen)
        seconds[bool(asked)] = time.monotonic() - began
        board.wait_text("ota: confirmed", 60, since=seen)
        board.wait_text("ota: up-to-date", 60, since=seen)
    rates = {hidden: SIZE / 1024 / taken for hidden, taken in seconds.items()}
    print(f"\nplain {rates[False]:.0f} KiB/s, encrypted {rates[True]:.0f} KiB/s, here, flash included")
    decrypting, hashing = (int(word) for word in rigs.ask(board, BLOCKS).split()[-2:])
    print(
        f"decrypting 1 MiB takes {decrypting / hashing:.1f} times as long as hashing it, {decrypting / 1e6:.2f} s here"
    )
