"""`otactl doctor`: each fault is made for real on a virtual board, its workspace or its network, and must be the one bad
row, with a next command that can be typed."""

import copy
import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

import pytest
import rig as rigs
import typed
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.board import agent
from otactl.board.doctor import software
from otactl.board.doctor.examine import examine
from otactl.board.doctor.findings import Verdict
from otactl.board.doctor.table import CHECKS, Row, exit_code
from otactl.cli import main as cli
from otactl.release import handover, rotation
from otactl.server.server import Server
from otactl.workspace import keys, tls, trust
from otactl.workspace.workspace import Workspace
from powercut.flash import files, with_files
from rig import NEW, OLD, Rig, boots
from test_refusals import scripted
from vboard.board import Board
from vboard.flash.otadata import State


class Situation:
    """A rig, one board of it that is used again and again, and what a fault needs besides."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self._whole = rig.root / "whole"
        shutil.copytree(rig.workspace.root, self._whole)
        self._network = copy.deepcopy(vars(rig.network))
        self._usual = rig.board()
        self._flash = self._usual.flash.read(0, self._usual.flash.size)
        self._files = files(self._usual.table, self._flash)

    @contextmanager
    def afresh(self) -> Iterator["Situation"]:
        """All as it was; what `opened` has is closed in the end."""
        self.settings: dict[str, Any] = {}
        self.files: dict[str, bytes | None] = {}  # what is other on the board; None: it is gone
        self.config: dict[str, object] = {}
        self.store: Callable[[Board], None] = lambda board: None  # on a board that is off
        shutil.rmtree(self.rig.workspace.root)
        shutil.copytree(self._whole, self.rig.workspace.root)
        vars(self.rig.network).update(copy.deepcopy(self._network))
        with ExitStack() as self.opened:
            yield self

    def board(self) -> Board:
        """Off, as deployed; one of its own where the fault is in what it is made of."""
        if self.settings:
            made = self.rig.board(**self.settings)
            self.opened.callback(made.power_off)
            return made
        self._usual.power_off()
        self._usual.flash.force(0, self._changed())
        return self._usual

    def remove(self, folder: str) -> None:
        """From the board."""
        self.files.update(dict.fromkeys(path for path in self._files if path.startswith(folder)))

    def _changed(self) -> bytes:
        changes = dict(self.files)
        if self.config:
            told = json.loads(self._files["etc/ota/config.json"]) | self.config
            changes["etc/ota/config.json"] = json.dumps(told).encode()
        return with_files(self._usual.table, self._flash, changes) if changes else self._flash

    def new(self, name: str) -> Path:
        """A folder of the test's own."""
        folder = self.rig.workspace.root / name
        folder.mkdir()
        return folder

    def serve(self, releases: Path, certificates: Path | None) -> None:
        """Another server in place of the rig's."""
        server = Server(releases, certificates, "127.0.0.1", 0, lambda _: None)
        self.rig.route(self.opened.enter_context(server).port)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory, place: Workspace, template: Path) -> Iterator[Situation]:
    root = tmp_path_factory.mktemp("doctor")
    shutil.copytree(place.root, root / "workspace")
    rig = Rig(root, template, Workspace.find(root / "workspace"))
    try:
        rig.serve()
        rig.publish("1.0.0", OLD)
        yield Situation(rig)
    finally:
        rig.close()


@pytest.fixture
def at(bench: Situation, monkeypatch: pytest.MonkeyPatch) -> Iterator[Situation]:
    monkeypatch.setattr(software, "written", lambda config: compiled(json.dumps(config)))
    with bench.afresh() as made:
        yield made


@lru_cache
def compiled(config: str) -> dict[str, bytes]:
    """The agent's files, compiled once for a configuration."""
    return agent.compiled(json.loads(config))


Fault = Callable[[Situation], Callable[[Board], None] | None]  # before power comes; what it returns, at the prompt


def on_board(code: str) -> Fault:
    def fault(_: Situation) -> Callable[[Board], None]:
        return lambda board: rigs.ask(board, code) and None

    return fault


def configured(**changes: object) -> Fault:
    return lambda at: at.config.update(changes)


def network(**changes: object) -> Fault:
    def fault(at: Situation) -> None:
        for name, value in changes.items():
            setattr(at.rig.network, name, value)

    return fault


def quick(fault: Fault) -> Fault:
    """With a board that waits less."""

    def both(at: Situation) -> None:
        fault(at)
        at.config.update(join_timeout_s=1, connect_timeout_s=1, ntp_host=None)

    return both


def forged(**changes: object) -> Fault:
    return lambda at: at.rig.forge(**changes) and None


def server_is_down(at: Situation) -> None:
    at.rig.route(rigs.free_port())


def server_without_tls(at: Situation) -> None:
    at.serve(at.rig.workspace.releases, None)


def certificate_of_another_host(at: Situation) -> None:
    folder = at.new("other")
    for name in ("ca.pem", "ca.key"):
        (folder / name).write_bytes((at.rig.workspace.tls / name).read_bytes())
    tls.make_server(folder, ["another.test"])
    at.serve(at.rig.workspace.releases, folder)


def certificate_of_another_ca(at: Situation) -> None:
    folder = at.new("stranger")
    tls.make_ca(folder, "demo")
    tls.make_server(folder, [rigs.HOST])
    at.serve(at.rig.workspace.releases, folder)


def another_ca_on_the_board(at: Situation) -> None:
    folder = at.new("stranger")
    tls.make_ca(folder, "demo")
    at.files["etc/ota/ca.pem"] = (folder / "ca.pem").read_bytes()


def another_key_on_the_board(at: Situation) -> None:
    stranger = rsa.generate_private_key(public_exponent=65537, key_size=3072).public_key()
    at.files["etc/ota/keys.json"] = keys.for_board([stranger]).encode()


def put(path: str, data: bytes | None) -> Fault:
    """A file on the board is another one; None: it is gone."""
    return lambda at: at.files.update({path: data})


def certificate_expired(at: Situation) -> None:
    tls.make_server(at.rig.workspace.tls, [rigs.HOST], days=-1)


def other_files(at: Situation) -> None:
    at.serve(at.new("empty"), at.rig.workspace.tls)


def release_file_altered(at: Situation) -> None:
    path = at.rig.workspace.releases / "1.0.0" / "esp32.bin"
    path.write_bytes(path.read_bytes()[:-1] + b"x")


def nobody_tells_the_date(at: Situation) -> None:
    def dateless(connection: object) -> None:
        connection.sendall(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")  # type: ignore[attr-defined]

    at.rig.network.ntp = False
    at.store = lambda board: rigs.nvs(board).set_i32(rigs.nvs(board).namespace("ota"), "proven", 0)
    at.rig.route(at.opened.enter_context(scripted(at.rig.workspace.tls, dateless)))


def keys_have_changed(at: Situation) -> None:
    """Twice, and the CAs between: documents 2 to 4."""
    place = at.rig.workspace
    rotation.rotate(place, None, secret=None, out=None)
    handover.begin(place)
    rotation.rotate(place, None, secret=None, out=None)


def board_takes_no_documents(at: Situation) -> None:
    keys_have_changed(at)
    at.config["trust"] = False


def document_is_kept_back(at: Situation) -> None:
    keys_have_changed(at)
    (trust.folder(at.rig.workspace) / "4.json").unlink()


def document_is_forged(at: Situation) -> None:
    keys_have_changed(at)
    path, stranger = trust.folder(at.rig.workspace) / "3.json", rsa.generate_private_key(65537, 3072)
    path.write_bytes(trust.sign(trust.read(path.read_bytes()), [stranger]))


def board_of(**settings: object) -> Fault:
    return lambda at: at.settings.update(settings)


FULL_NVS = rigs.FILL


def no_agent(at: Situation) -> None:
    at.remove("lib/ota/")


def boot_py_of_before(at: Situation) -> None:
    """As deploy wrote it before there were applications; one lies there."""
    at.files["boot.py"] = b"try:\n    import ota.boot\n    ota.boot.start()\nexcept Exception as e:\n    print(e)\n"
    at.files["app-ota_0/app.py"] = b"print('app: runs')\n"


def application_is_other(at: Situation) -> Callable[[Board], None]:
    """Than the record says."""
    at.files["app-ota_0/app.py"] = b"print('app: runs')\n"
    return lambda board: rigs.ask(board, INSTALLED) and None


INSTALLED = """
from ota.boot import record, slots
r = {"version": "1.1.0", "sequence": 1, "security_version": 0, "size": 4096, "sha256": "", "app": "0123456789abcdef"}
record.load().installed(r, slots.Slots().running)
"""


def module_before_the_application(at: Situation) -> None:
    at.files["boot.py"] = agent.hook("boot.py").encode() + b"sys.path.insert(0, '/lib')\n"
    at.files["app-ota_0/app.py"] = b"import drivers\n"
    at.files["app-ota_0/drivers.py"] = at.files["lib/drivers.py"] = b""


# what is wrong: (the fault, the bad row, its code, how its command begins, the exit code)
FAULTS: dict[str, tuple[Fault, str, str, str, int]] = {
    "MicroPython 1.22": (board_of(deployed=False, micropython="1.22.2"), "MicroPython", "", "otactl slots backup ", 1),
    "no agent": (no_agent, "agent", "", "otactl deploy ", 1),
    "an agent that does not load": (put("lib/ota/net/link.mpy", b"M\x01\x00\x1f"), "agent", "", "otactl deploy ", 1),
    "a file of the user's in place of it": (put("ota.py", b"x = 1"), "agent", "", "mpremote ", 1),
    "a main.py that does not call it": (put("main.py", b"print('mine')"), "main.py", "", "otactl deploy ", 1),
    "a boot.py from before applications": (boot_py_of_before, "boot.py", "app-path", "otactl deploy ", 1),
    "an application that is not as installed": (application_is_other, "application", "", "otactl publish ", 1),
    "a module before the application": (module_before_the_application, "leftovers", "", "mpremote ", 1),
    "no configuration": (
        put("etc/ota/config.json", None), "config", "config-missing", "otactl deploy ", 1,
    ),
    "another url": (configured(url="https://other.test:8443/stable.json"), "settings", "", "otactl deploy ", 1),
    "another key": (another_key_on_the_board, "keys", "unknown-key", "otactl deploy ", 1),
    "another CA": (another_ca_on_the_board, "CA", "cert-untrusted", "otactl deploy ", 1),
    "NVS is full": (on_board(FULL_NVS), "NVS", "record", "otactl slots ", 1),
    "no memory for TLS": (board_of(idf_heap_kib=60), "memory", "no-memory", "mpremote ", 1),
    "no memory for the agent": (board_of(heap_kib=100), "memory", "no-memory", "mpremote ", 1),
    "a release that is larger than the slot": (
        forged(target__size=0x1B0001, target__url="https://cdn.test/esp32.bin"), "slots", "too-big", "otactl publish ", 1,
    ),
    "a release file that is not as signed": (release_file_altered, "published", "hash-mismatch", "otactl publish ", 1),
    "a certificate that has expired": (certificate_expired, "certificate", "cert-expired", "otactl init --renew", 3),
    "Wi-Fi is not there": (quick(network(access_points={})), "network", "wifi-not-found", "mpremote ", 3),
    "Wi-Fi has another password": (
        quick(network(access_points={"virtual": "other"})), "network", "wifi-wrong-password", "otactl deploy ", 3,
    ),
    "nobody tells the date": (quick(nobody_tells_the_date), "clock", "clock-not-set", "otactl deploy ", 3),
    "nothing listens": (server_is_down, "connection", "connect", "otactl serve ", 3),
    "a firewall": (quick(network(connect_s=9)), "connection", "connect", "curl ", 3),
    "a server without TLS": (server_without_tls, "TLS", "tls", "otactl serve ", 3),
    "a certificate for another name": (
        certificate_of_another_host, "TLS", "cert-host", f"otactl init --renew {rigs.HOST} ", 3,
    ),
    "a certificate of another CA": (certificate_of_another_ca, "TLS", "cert-untrusted", "curl ", 3),
    "a server with other files": (other_files, "HTTP", "http-status", "curl ", 3),
    "keys that come by cable alone": (board_takes_no_documents, "signature", "unknown-key", "otactl deploy ", 1),
    "a trust document that is kept back": (document_is_kept_back, "signature", "unknown-key", "curl ", 1),
    "a forged trust document": (document_is_forged, "signature", "trust-signature", "otactl keys list ", 1),
    "a release of another product": (forged(product="toaster"), "target", "wrong-product", "otactl publish ", 1),
    "a release for another chip": (forged(target__chip="esp32s3"), "target", "no-target", "otactl publish ", 1),
}  # fmt: skip


def board_with(at: Situation, *faults: Fault) -> Board:
    at_prompt = [fault(at) for fault in faults]
    board = at.board()
    at.store(board)
    board.power_on()
    for do in at_prompt:
        if do:
            do(board)
    return board


def bad(rows: list[Row]) -> list[Row]:
    return [row for row in rows if row.finding.verdict is Verdict.BAD]


# Faults that are looked at together, as none of them hides the other: a look takes five starts of a board.
TOGETHER = (
    ("no agent", "Wi-Fi has another password"),
    ("a module before the application", "no configuration", "another key"),
    (
        "a boot.py from before applications",
        "an application that is not as installed",
        "another url",
        "Wi-Fi is not there",
    ),
    (
        "a release that is larger than the slot",
        "a main.py that does not call it",
        "another CA",
        "NVS is full",
        "a certificate that has expired",
        "nothing listens",
    ),
)
LOOKS = (*TOGETHER, *((name,) for name in FAULTS if name not in sum(TOGETHER, ())))


@pytest.mark.parametrize("names", LOOKS, ids=", ".join)
def test_the_fault_is_the_one_bad_row(at: Situation, names: tuple[str, ...]) -> None:
    board = board_with(at, *(FAULTS[name][0] for name in names))
    rows = examine(str(board.port), at.rig.workspace.root)
    found = bad(rows)
    assert [(row.name, row.finding.code) for row in found] == [FAULTS[name][1:3] for name in names], rows
    for name, row in zip(names, found, strict=True):
        _, _, _, then, status = FAULTS[name]
        assert row.finding.then.startswith(then)
        assert exit_code([row]) == status
        assert ("/trust/4.json" in row.finding.then) == (name == "a trust document that is kept back")
    assert exit_code(rows) == min(FAULTS[name][4] for name in names)
    for row in rows:
        typed.parses(row.finding.then)
    if names == ("an agent that does not load",):  # the network is looked at all the same
        by_name = {row.name: row.finding for row in rows}
        assert [by_name[name].verdict for name in ("network", "signal", "name", "connection")] == [Verdict.OK] * 4
        assert by_name["TLS"].said == "agent first"


def test_board_that_will_take_trust_documents_at_its_next_look_lacks_nothing(at: Situation) -> None:
    """Its look is judged as the agent's will be, and brings it none."""
    board = board_with(at, keys_have_changed)
    held = trusted_by(board)
    rows = examine(str(board.port), at.rig.workspace.root)
    assert bad(rows) == []
    by_name = {row.name: row.finding for row in rows}
    assert "by trust document 4, which the board takes at its next look" in by_name["signature"].said
    assert [by_name[name].verdict for name in ("target", "release")] == [Verdict.OK] * 2
    assert by_name["keys"].verdict is by_name["CA"].verdict is Verdict.WARN
    assert "at its next look" in by_name["keys"].said
    assert "at its next look" in by_name["CA"].said
    assert trusted_by(board) == held


def trusted_by(board: Board) -> dict[str, bytes]:
    """The files of /etc/ota, as they lie in flash."""
    found = files(board.table, board.flash.read(0, board.flash.size))
    return {path: data for path, data in found.items() if path.startswith("etc/ota/")}


def test_a_healthy_board_has_nothing_bad_and_goes_on(at: Situation) -> None:
    board = rigs.started(at.board())
    board.wait_text("app: runs")
    before = board.text.count("app: runs")
    rows = examine(str(board.port), at.rig.workspace.root)
    assert [row.name for row in rows] == [check.name for check in CHECKS]
    assert [row for row in rows if row.finding.verdict in (Verdict.BAD, Verdict.WARN)] == []
    assert {row.name for row in rows if row.finding.verdict is Verdict.SKIPPED} == {"server", "served"}
    assert exit_code(rows) == 0
    board.wait(lambda: board.text.count("app: runs") > before, 20, "program")


def test_a_look_writes_nothing_though_it_proves_the_date_and_finds_a_release(at: Situation) -> None:
    at.rig.publish("2.0.0", NEW)
    board = board_with(at, put("main.py", b"print('mine')"))  # a program that does not look by itself
    rigs.ask(board, "from esp32 import NVS\nNVS('ota').set_i32('proven', 0)")
    before = board.flash.read(0, 0x370000)
    rows = {row.name: row.finding for row in examine(str(board.port), at.rig.workspace.root)}
    assert "the board would take it" in rows["release"].said
    assert board.flash.read(0, 0x370000) == before


def test_a_trial_does_not_end_by_the_look(at: Situation) -> None:
    """P6: the board's wait for a server that does not answer would last longer than the trial may."""
    at.rig.publish("2.0.0", NEW)
    at.config.update(trial={**rigs.TRIAL, "deadline_s": 10, "checks": []}, connect_timeout_s=20)
    at.rig.network.connect_s = 60
    board = at.board()
    slot = board.table.find("ota_1")
    assert slot
    board.program(slot.offset, NEW)
    board.power_on()
    rigs.ask(board, "from esp32 import Partition as P\nP(P.RUNNING).get_next_update().set_boot()")
    restarted(board)
    rows = {row.name: row.finding for row in examine(str(board.port), at.rig.workspace.root)}
    board.wait_text("ota: confirmed", 20)
    assert boots(board) == ("ota_1", State.VALID)
    assert (rows["trial"].verdict, rows["network"].said, rows["release"].said) == (
        Verdict.WARN,
        "trial first",
        "trial first",
    )


def test_a_board_that_restarts_in_a_look_is_told(at: Situation) -> None:
    board = board_with(
        at, put("lib/ota/net/url.py", b"import machine\ndef split(u):\n    machine.reset()\ndef join(a, b): pass\n")
    )
    rows = examine(str(board.port), at.rig.workspace.root)
    assert [(row.name, row.finding.said) for row in bad(rows)] == [("clock", "the look broke off: the board restarted")]
    assert exit_code(rows) == 3


def test_without_a_workspace_the_board_is_looked_at_and_a_weak_signal_is_a_warning(
    at: Situation, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    at.rig.network.rssi = -88
    board = at.board()
    board.power_on()
    rows = examine(str(board.port), Path())
    found = {row.name: row.finding.verdict for row in rows}
    assert exit_code(rows) == 0
    assert [name for name, verdict in found.items() if verdict is Verdict.WARN] == ["signal"]
    assert (found["workspace"], found["keys"], found["release"]) == (Verdict.SKIPPED, Verdict.SKIPPED, Verdict.OK)


def test_a_bootloader_that_cannot_roll_back_is_told_after_an_update(at: Situation) -> None:
    """It starts what set_boot() has marked new, and leaves it so."""
    at.settings = {"rollback": False}
    board = at.board()
    slot = board.table.find("ota_1")
    assert slot
    board.program(slot.offset, rigs.NEW)
    board.power_on()
    rigs.ask(board, "from esp32 import Partition as P\nP(P.RUNNING).get_next_update().set_boot()")
    (rows,) = [examine(str(restarted(board).port), at.rig.workspace.root)]
    assert [row.name for row in bad(rows)] == ["bootloader"]


def restarted(board: Board) -> Board:
    board.reset()
    board.wait(lambda: len(board.boots) > 1, 20, "boot")
    return board


def test_the_command_and_the_last_failure_beside_todays(at: Situation, capsys: pytest.CaptureFixture[str]) -> None:
    at.rig.network.hosts.clear()
    board = rigs.started(at.board())
    board.wait_text("ota: error dns", 60)
    assert cli.main(["doctor", "-w", str(at.rig.workspace.root), str(board.port), "--all"]) == 3
    said = capsys.readouterr().out
    assert "✗ name: dns (releases.test)" in said and "\n    otactl deploy " in said
    assert "✓ last look: in dns, as today's: see above" in said
    assert said.splitlines()[-1].startswith("1 bad, 0 to watch, ")
