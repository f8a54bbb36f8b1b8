"""Deployment on the virtual board: what is written, what is left alone, which boards are refused."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import shared
from otactl.board import agent, deploy
from otactl.board.deploy import Deployed
from otactl.board.link import Link
from otactl.errors import BoardError, OtactlError, ReleaseError, RigError, UsageError
from otactl.release import envelope, publish
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace
from vboard.board import Board

CODE = re.compile(r"`([^`]+)`")  # of the lines to add
MODULES = sorted(agent.sources({}))  # of a board without Wi-Fi, with the checks of otactl init


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board") as board:
        board.power_on()
        board.wait_repl()
        yield board


@pytest.fixture(scope="session")
def flash(made: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of a board to which the workspace has been deployed."""

    def make(folder: Path) -> None:
        with Board(folder) as board:
            board.power_on()
            board.wait_repl()
            run(board, Workspace.find(made))

    return shared.made(tmp_path_factory, "deployed", make) / "flash.bin"


@pytest.fixture
def deployed(flash: Path, tmp_path: Path) -> Iterator[Board]:
    """A board that has the agent: a deployment writes what is other."""
    (tmp_path / "board").mkdir()
    shutil.copy(flash, tmp_path / "board")
    with Board(tmp_path / "board") as board:
        board.power_on()  # without a program it never comes to a prompt by itself
        yield board


def run(board: Board, place: Workspace, **more: bool) -> Deployed:
    with Link(str(board.port)) as link:
        return deploy.deploy(link, place, **more)


def text(board: Board, path: str) -> str:
    with Link(str(board.port)) as link:
        return str(link.value(f"open({path!r}).read()"))


def names(board: Board, path: str) -> list[str]:
    with Link(str(board.port)) as link:
        return sorted(link.value(f"os.listdir({path!r})", "import os"))


def walked(board: Board) -> list[str]:
    """All files of the agent, with the room they are in."""
    with Link(str(board.port)) as link:
        return sorted(link.value("_walk('/lib/ota')", deploy._ASK))


def write(board: Board, **files: str) -> None:
    with Link(str(board.port)) as link:
        for name, content in files.items():
            link.put(f"/{name}.py", content.encode())


def test_a_new_board_gets_all_of_it(board: Board, place: Workspace) -> None:
    said: list[str] = []
    with Link(str(board.port)) as link:
        done = deploy.deploy(link, place, say=said.append)
    assert len(done.written) == len(said) == len(MODULES) + 5
    assert done.advice == []
    assert walked(board) == [name.replace(".py", ".mpy") for name in MODULES]
    assert json.loads(text(board, "/etc/ota/config.json")) == place.board_config()
    assert text(board, "/etc/ota/keys.json") == keys.for_board(keys.trusted(place.trusted))
    assert text(board, "/etc/ota/ca.pem") == (place.tls / "ca.pem").read_text()
    assert text(board, "/boot.py") == agent.hook("boot.py")
    assert text(board, "/main.py") == agent.hook("main.py")


def test_a_second_time_nothing_is_written(deployed: Board, place: Workspace) -> None:
    done = run(deployed, place)
    assert (done.written, done.removed, done.advice) == ([], [], [])
    assert done.unchanged == len(MODULES) + 5


def test_only_what_changed_is_written(deployed: Board, place: Workspace) -> None:
    settings = place.root / "otactl.toml"
    settings.write_text(settings.read_text().replace("deadline_s = 180", "deadline_s = 90"))
    assert run(deployed, Workspace.find(place.root)).written == ["/etc/ota/config.json"]


def test_py_and_mpy_twins_never_stay_side_by_side(board: Board, place: Workspace) -> None:
    run(board, place, as_py=True)
    assert walked(board) == MODULES
    done = run(board, place)
    assert len(done.removed) == len(MODULES)
    assert walked(board) == [name.replace(".py", ".mpy") for name in MODULES]


def test_modules_of_before_stay_until_the_new_ones_are_there(board: Board, place: Workspace) -> None:
    run(board, place, as_py=True)
    put: list[str] = []

    def cut(path: str) -> None:
        put.append(path)
        if len(put) == 20:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt), Link(str(board.port)) as link:
        deploy.deploy(link, place, say=cut)
    assert set(MODULES) < set(walked(board))
    with Link(str(board.port)) as link:
        assert link.value("agent.status()['chip']", "from ota import agent") == "esp32"


def test_modules_that_the_agent_no_longer_has_go_other_files_stay(deployed: Board, place: Workspace) -> None:
    with Link(str(deployed.port)) as link:
        link.put("/lib/ota/old.mpy", b"x")
        link.put("/lib/ota/notes.txt", b"x")
        link.put("/lib/mine.py", b"x")
    assert run(deployed, place).removed == ["/lib/ota/old.mpy"]
    assert "notes.txt" in walked(deployed)
    assert "mine.py" in names(deployed, "/lib")


def test_programs_of_the_users_stay_and_the_lines_to_add_are_told(board: Board, place: Workspace) -> None:
    write(board, boot="import network\n", main="print('mine')\n")
    done = run(board, place)
    assert text(board, "/boot.py") == "import network\n"
    assert text(board, "/main.py") == "print('mine')\n"
    assert len(done.advice) == 2
    assert "`try: import ota.boot; ota.boot.start()`" in done.advice[0]
    assert "`try: from ota import agent; agent.start()`" in done.advice[1]


@pytest.mark.parametrize(
    ("main", "missing"),
    [
        ("from ota import agent\nagent.run('app')\n", 1),  # names the agent, does not start it
        ("import time  # from ota import agent; agent.start()\n", 1),
        ("from ota.agent import start\nstart()\n", 0),
        ("import ota.agent as a\na.start()\n", 0),
    ],
)
def test_a_main_py_that_does_not_start_the_agent_is_told(
    deployed: Board, place: Workspace, main: str, missing: int
) -> None:
    write(deployed, main=main)
    assert len(run(deployed, place).advice) == missing


def test_lines_to_add_let_the_program_start_without_the_agent(deployed: Board, place: Workspace) -> None:
    write(deployed, boot="x = 1\n", main="print('mine', x)\n")
    boot, main = ("".join(f"{line}\n" for line in CODE.findall(advice)[-2:]) for advice in run(deployed, place).advice)
    write(deployed, boot=boot + "x = 1\n", main=main + "print('mine', x)\n")
    assert run(deployed, place).advice == []
    with Link(str(deployed.port)) as link:
        link.run("import os; os.rename('/lib/ota', '/lib/gone')")
    seen = len(deployed.text)
    deployed.reset()
    deployed.wait_text("mine 1", 20, since=seen)
    assert "no module named 'ota'" in deployed.text[seen:]


def test_programs_that_follow_the_advice_are_left_alone(deployed: Board, place: Workspace) -> None:
    boot = "import ota.trial\nota.trial.start()\n"
    write(deployed, boot=boot, main="from ota import agent\nagent.start()\nprint('mine')\n")
    assert run(deployed, place).advice == []
    assert text(deployed, "/boot.py") == boot


def test_a_boot_py_of_comments_alone_is_the_ports_own(deployed: Board, place: Workspace) -> None:
    write(deployed, boot="# This file is executed on every boot\n#import esp\n\n")
    assert "/boot.py" in run(deployed, place).written


def test_a_program_that_is_commented_out_stays(deployed: Board, place: Workspace) -> None:
    write(deployed, boot="# import mine\n", main="# import mine\n# mine.run()\n")
    assert len(run(deployed, place).advice) == 2
    assert text(deployed, "/boot.py") == "# import mine\n"
    assert text(deployed, "/main.py") == "# import mine\n# mine.run()\n"


def test_a_program_that_is_not_utf_8_stays_too(deployed: Board, place: Workspace) -> None:
    program = "print('grün')\n".encode("latin-1")
    with Link(str(deployed.port)) as link:
        link.put("/main.py", program)
    assert len(run(deployed, place).advice) == 1
    with Link(str(deployed.port)) as link:
        assert link.value("open('/main.py', 'rb').read() == " + repr(program))


def test_a_name_with_an_emoji_is_the_same_on_the_board(deployed: Board, place: Workspace) -> None:
    name = "Home \N{HOUSE BUILDING} é"
    settings = place.root / "otactl.toml"
    settings.write_text(f'{settings.read_text().replace("lamp", name)}\n[board.wifi]\nssid = "{name}"\n', "utf-8")
    run(deployed, Workspace.find(place.root))
    sealed = envelope.seal({"product": name}, [keys.load(place.key_file)])
    with Link(str(deployed.port)) as link:
        link.put("/stable.json", sealed)
        code = (
            "import json, binascii\nc = json.load(open('/etc/ota/config.json'))\n"
            "p = json.loads(binascii.a2b_base64(json.load(open('/stable.json'))['payload']))\n"
        )
        assert (
            link.value("[list(s.encode()) for s in (c['wifi']['ssid'], c['product'], p['product'])]", code)
            == [list(name.encode())] * 3
        )


def test_a_package_that_hides_the_agent_is_told(deployed: Board, place: Workspace) -> None:
    write(deployed, ota="x = 1\n")
    assert any("/ota.py of yours hides /lib/ota" in line for line in run(deployed, place).advice)


def test_the_clock_is_set(deployed: Board, place: Workspace) -> None:
    run(deployed, place)
    with Link(str(deployed.port)) as link:
        assert link.value("time.gmtime()[0]", "import time") >= 2026


def test_the_agent_runs_after_it(board: Board, place: Workspace) -> None:
    seen = len(board.text)
    run(board, place)
    board.wait_text("ota: ", 30, since=seen)


def test_a_new_key_is_trusted_beside_the_old_one(deployed: Board, place: Workspace) -> None:
    extra = keys.generate(place.trusted / "next.pem").public_key()
    run(deployed, place)
    found = json.loads(text(deployed, "/etc/ota/keys.json"))
    old = keys.load(place.key_file).public_key()
    assert set(found) == {keys.keyid(old), keys.keyid(extra)}


def test_the_private_key_need_not_be_there(deployed: Board, place: Workspace) -> None:
    place.key_file.unlink()
    run(deployed, place)


# --- boards that are refused, with nothing written -------------------------------------------


def refused(board: Board, place: Workspace, error: type[OtactlError], why: str) -> None:
    with Link(str(board.port)) as link:
        before = link.value("os.listdir('/')", "import os")
        with pytest.raises(error, match=why) as caught:
            deploy.deploy(link, place)
        assert link.value("os.listdir('/')", "import os") == before
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"micropython": "1.21.0"}, r"1\.21\.0 is too old.*1\.23 or newer.*bootloader"),
    ],
)
def test_a_board_that_cannot_update_is_refused(tmp_path: Path, place: Workspace, settings: dict, why: str) -> None:
    with Board(tmp_path / "board", **settings) as board:
        board.power_on()
        board.wait_repl()
        refused(board, place, BoardError, why)


def test_a_release_too_big_for_the_slots_is_told(board: Board, place: Workspace, firmware_file) -> None:
    publish.publish(place, [firmware_file(size=0x1B0000 + 8192)], "1.0.0")
    refused(board, place, BoardError, "too-big: release 1.0.0 has .* holds 1769472")


def test_a_release_too_big_for_another_chip_is_no_hindrance(deployed: Board, place: Workspace, firmware_file) -> None:
    big = firmware_file("esp32s3", size=0x1B0000 + 8192)
    publish.publish(place, [firmware_file("esp32"), big], "1.0.0")
    run(deployed, place)


def test_a_channel_that_is_not_ours_is_told(board: Board, place: Workspace) -> None:
    place.channel_file.write_text("{}")
    refused(board, place, ReleaseError, r"newest release cannot be read: .*stable\.json")


@pytest.mark.parametrize(
    ("line", "entry"),
    [
        ("[board]\nallow_htttp = true", "allow_htttp"),
        ("[board]\ntries = 0", "tries"),
        ("[board]\nwifi = 5", "wifi"),
        ("[board.wifi]\nssid = ''", r"wifi\[0\]\.ssid"),
        ('[board.trial]\nchecks = [{ check = "wfi" }]', r"trial\.checks\[0\]\.check"),
        ("[board]\ninterval_s = 2026-01-01", "interval_s"),
    ],
)
def test_a_wrong_setting_is_named_before_the_board_is_touched(
    board: Board, place: Workspace, line: str, entry: str
) -> None:
    settings = place.root / "otactl.toml"
    head = settings.read_text().partition("[board")[0].replace("# [board", "")
    settings.write_text(head.rstrip("# ") + "\n" + line + "\n")
    refused(board, Workspace.find(place.root), UsageError, f"otactl.toml: {entry} is wrong")


def test_a_missing_ca_is_told(board: Board, place: Workspace) -> None:
    (place.tls / "ca.pem").unlink()
    refused(board, place, UsageError, "CA certificate of 127.0.0.1")


def test_a_full_filesystem_is_told_with_its_code(board: Board, place: Workspace) -> None:
    with Link(str(board.port)) as link:
        free = link.value("os.statvfs('/')[0] * os.statvfs('/')[3]", "import os")
        link.run(f"f = open('/data', 'wb')\nfor _ in range({free // 4096 - 3}): f.write(bytes(4096))")
        link.run("f.close()")
        with pytest.raises(BoardError, match=r"^vfs-full: no room on the board for /lib/ota"):
            deploy.deploy(link, place)


def test_a_filesystem_too_full_for_a_folder_is_told_with_its_code(board: Board, place: Workspace) -> None:
    with Link(str(board.port)) as link:
        link.run(
            "n = 0\ntry:\n"
            "    while True:\n"
            "        with open('/data%d' % n, 'wb') as f: f.write(bytes(4096))\n"
            "        n += 1\n"
            "except OSError: pass",
            timeout_s=60,
        )
        with pytest.raises(BoardError, match=r"^vfs-full: no room on the board for /"):
            deploy.deploy(link, place)


# --- the agent's sources ---------------------------------------------------------------------


def test_compiled_modules_are_small_and_of_the_version_that_boards_name() -> None:
    files = agent.compiled()
    assert agent.mpy_version(files) == 6
    assert sum(map(len, files.values())) <= 86 << 10
    assert agent.compiled() == files  # or every deployment would write all of them again


def test_without_the_agents_files_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(agent, "SOURCES", tmp_path)
    monkeypatch.setattr(agent, "HOOKS", tmp_path)
    for call in (agent.sources, agent.compiled, lambda: agent.hook("boot.py")):
        with pytest.raises(RigError, match="install otactl again"):
            call()


def test_a_board_that_reads_another_bytecode_gets_py(
    deployed: Board, place: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "mpy_version", lambda _: 7)
    done = run(deployed, place)
    assert walked(deployed) == MODULES
    assert any("installed as .py" in line for line in done.advice)
