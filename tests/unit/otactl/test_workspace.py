"""Workspaces: made, found, read; sequences that only rise."""

import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from otactl import files
from otactl.errors import RigError, UsageError
from otactl.files import locked, write_atomic, write_private
from otactl.release import envelope
from otactl.release.sequence import MAX_INT, next_sequence, take_sequence
from otactl.workspace import keys
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace

WIFI = '[board.wifi]\nssid = "Home"\npassword = "secret"\n'
HINT = ("[board.wifi]", 'ssid = "..."', 'password = "..."')
NEW = f"""\
# What the boards are called, and where they find releases/.
product = "lamp"
channel = "stable"
url = "https://a.b:8443"

# Goes into every board's /etc/ota/config.json; docs/api.md lists all that may be here.
{WIFI}
[board.trial]
deadline_s = 180
checks = [{{ check = "wifi" }}, {{ check = "server" }}]
"""
GOOD = 'product = "lamp"\nurl = "https://h:8443"\n'


def release(place: Workspace, sequence: int) -> bytes:
    return envelope.seal({"sequence": sequence}, [keys.load(place.key_file)])


def test_a_new_workspace_has_what_the_verbs_need(place: Workspace) -> None:
    files = {str(p.relative_to(place.root)) for p in place.root.rglob("*") if p.is_file()}
    assert files >= {
        "otactl.toml",
        ".gitignore",
        "keys/release.pem",
        "keys/release.pub.json",
        "tls/ca.pem",
        "tls/ca.key",
        "tls/server.pem",
        "tls/server.key",
    }
    assert place.releases.is_dir()
    assert (place.product, place.url, place.channel) == (
        "lamp",
        "https://127.0.0.1:8443",
        "stable",
    )
    assert (place.host, place.port) == ("127.0.0.1", 8443)
    assert place.channel_url == "https://127.0.0.1:8443/stable.json"


def test_secrets_are_for_the_owner_only(place: Workspace) -> None:
    for name in ("otactl.toml", "keys/release.pem", "tls/ca.key", "tls/server.key"):
        assert stat.S_IMODE((place.root / name).stat().st_mode) & 0o077 == 0, name


def test_it_is_found_from_a_folder_inside(place: Workspace) -> None:
    (place.releases / "1.0.0").mkdir()
    assert Workspace.find(place.releases / "1.0.0") == place


def test_outside_of_one_the_way_to_make_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="otactl init"):
        Workspace.find(tmp_path)


def test_a_folder_that_is_not_there_is_not_looked_for_further_up(place: Workspace) -> None:
    with pytest.raises(UsageError, match="no such folder"):
        Workspace.find(place.root / "kitchn")


def test_a_second_init_leaves_the_key_alone(place: Workspace) -> None:
    before = place.key_file.read_bytes()
    with pytest.raises(UsageError, match="is a workspace already"):
        create(place.root, product="lamp", names=[])
    for lost in ("otactl.toml", "keys/release.pub.json"):  # broken off before either was written
        (place.root / lost).unlink()
    create(place.root, product="lamp", names=[])
    assert place.key_file.read_bytes() == before
    assert keys.trusted(place.trusted)[0].public_numbers() == keys.load(place.key_file).public_key().public_numbers()


def test_an_init_over_a_key_that_boards_cannot_trust_says_so_and_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "release.pem").write_text("half a k")
    with pytest.raises(UsageError, match=r"release\.pem is not a PEM"):
        create(tmp_path, product="lamp", names=["a.b"])
    assert (tmp_path / "keys" / "release.pem").read_text() == "half a k"
    assert not (tmp_path / "otactl.toml").exists()


def test_an_init_that_was_broken_off_can_be_repeated(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="neither a host name"):
        create(tmp_path, product="lamp", names=["a b"])
    assert create(tmp_path, product="lamp", names=["a.b"]).host == "a.b"


def test_a_gitignore_of_the_users_gets_lines_and_loses_none(tmp_path: Path) -> None:
    (tmp_path / ".gitignore").write_text("build/\ntls/*.key\nsecret.py")
    create(tmp_path, product="lamp", names=["a.b"])
    lines = (tmp_path / ".gitignore").read_text().splitlines()
    assert lines == [
        "build/",
        "tls/*.key",
        "secret.py",
        "keys/*.pem",
        "tls/*/*.key",
        "engine/*.token",
        "otactl.toml",
        ".publishing",
        "fleet.db*",
        "drafts/",
    ]


def test_the_settings_of_a_new_workspace_are_for_people(tmp_path: Path) -> None:
    create(tmp_path, product="lamp", names=["a.b"], wifi={"ssid": "Home", "password": "secret"})
    assert (tmp_path / "otactl.toml").read_text() == NEW
    create(tmp_path / "2", product="lamp", names=["a.b"])
    assert (tmp_path / "2" / "otactl.toml").read_text() == NEW.replace(WIFI, "".join(f"# {x}\n" for x in HINT))


def test_settings_survive_characters_that_toml_and_urls_give_a_meaning(tmp_path: Path) -> None:
    wifi = {"ssid": 'my "net" \\ é \N{HOUSE BUILDING}', "password": "p#=w'\x7f\t"}
    made = create(tmp_path, product='l"p', names=["h", "::1"], port=9, wifi=wifi)
    assert (made.product, made.host, made.port) == ('l"p', "h", 9)
    assert made.board_config()["wifi"] == wifi


def test_the_board_table_goes_into_the_boards_configuration(place: Workspace) -> None:
    config = place.board_config()
    assert config["url"] == place.channel_url
    assert config["product"] == "lamp"
    assert config["trial"]["checks"] == [{"check": "wifi"}, {"check": "server"}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("product =", "otactl.toml"),
        (b"\xff\xfe".decode("latin-1"), "otactl.toml"),
        ('product = "lamp"', "url is missing"),
        ('url = "https://h"', "product is missing"),
        ('product = 5\nurl = "https://h"', "product must be a text"),
        ('product = "p"\nurl = ["https://h"]', "url must be a text"),
        (GOOD + "board = 5", "board must be a table"),
        (
            GOOD + 'chanel = "beta"',
            r"unknown key 'chanel' \(known: product, url, channel, board, engine, mqtt\): is it channel\?",
        ),
        (GOOD + "[boards.wifi]", r"unknown key 'boards' .*: is it board\?"),
        (GOOD + "interval_s = 60", r"unknown key 'interval_s' .*: what boards are told goes below \[board\]"),
        (GOOD + 'url = "https://twice"', "otactl.toml"),
        (GOOD + 'channel = "../x"', "no name for a file"),
        (GOOD + 'channel = ""', "no name for a file"),
        ('product = "p"\nurl = "ftp://h"', "not an http"),
        ('product = "p"\nurl = "https://"', "not an http"),
        ('product = "p"\nurl = "https://h:99999"', "not an http"),
        ('product = "p"\nurl = "https://h:x"', "not an http"),
    ],
)
def test_wrong_settings_are_named(tmp_path: Path, text: str, why: str) -> None:
    (tmp_path / "otactl.toml").write_text(text, encoding="latin-1")
    with pytest.raises(UsageError, match=why):
        Workspace.find(tmp_path)


@pytest.mark.parametrize("product", ["", "x" * 65])
def test_a_product_name_that_boards_refuse_is_refused_here(tmp_path: Path, product: str) -> None:
    with pytest.raises(UsageError, match="--product"):
        create(tmp_path, product=product, names=[])
    assert not (tmp_path / "keys").exists()


def test_a_port_that_no_board_can_call_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--port"):
        create(tmp_path, product="lamp", names=[], port=0)
    assert not (tmp_path / "keys").exists()


def test_the_first_sequence_is_one(place: Workspace) -> None:
    assert next_sequence(place) == 1


def test_a_sequence_that_was_taken_is_not_given_again(place: Workspace) -> None:
    take_sequence(place, 7)
    assert next_sequence(Workspace.find(place.root)) == 8


@pytest.mark.parametrize("where", ["stable.json", "beta.json", "1.0.0/release.json"])
def test_the_sequence_rises_above_all_that_is_published(place: Workspace, where: str) -> None:
    take_sequence(place, 3)
    path = place.releases / where
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(release(place, 41))
    assert next_sequence(place) == 42


def test_a_release_that_is_not_ours_sets_no_bound(place: Workspace) -> None:
    (place.releases / "stable.json").write_text("{}")
    assert next_sequence(place) == 1


def test_a_damaged_counter_is_not_taken_for_zero(place: Workspace) -> None:
    (place.root / "sequence").write_text("x")
    with pytest.raises(UsageError, match="holds no number"):
        next_sequence(place)


def test_numbers_end_where_a_boards_memory_for_them_ends(place: Workspace) -> None:
    take_sequence(place, MAX_INT - 1)
    assert next_sequence(place) == MAX_INT
    take_sequence(place, MAX_INT)
    with pytest.raises(UsageError, match="up to 2147483647"):
        next_sequence(place)


def test_a_lock_is_held_by_one_and_let_go_after_an_exception(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locked(path), pytest.raises(RigError, match="at work"), locked(path, wait_s=0):
        raise AssertionError("two hold the lock")
    with pytest.raises(KeyError), locked(path):
        raise KeyError
    with locked(path, wait_s=0):
        pass


def holder(path: Path, then: str) -> subprocess.Popen[str]:
    """Another process that holds the lock when this returns."""
    program = (
        "import sys, time\nfrom pathlib import Path\nfrom otactl.files import locked\n"
        f"with locked(Path(sys.argv[1])):\n    print('held', flush=True)\n    {then}\n"
    )
    made = subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(files.__file__).parents[1])},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert made.stdout is not None and made.stdout.readline() == "held\n"
    return made


def test_a_lock_that_another_process_holds_is_an_error_that_names_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path, "time.sleep(60)") as other:
        with pytest.raises(RigError, match=re.escape(str(path))), locked(path, wait_s=0.2):
            raise AssertionError("two hold the lock")
        other.kill()


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", "time.sleep(0.5)"), locked(tmp_path / "lock"):
        pass


def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path: Path) -> None:
    with holder(tmp_path / "lock", "time.sleep(60)") as other:
        other.kill()
        other.wait()
        with locked(tmp_path / "lock", wait_s=0):
            pass


def test_a_file_that_cannot_be_written_whole_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with pytest.raises(TypeError):
        write_atomic(path, "no bytes")  # type: ignore[arg-type]
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("write", [write_atomic, write_private])
def test_a_full_disk_is_told_with_the_path_and_leaves_nothing_half(tmp_path: Path, write) -> None:
    program = "import resource, sys; from pathlib import Path; from otactl import files\n"
    program += "resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100))\n"
    program += f"files.{write.__name__}(Path(sys.argv[1]), bytes(1000))"
    path = tmp_path / "file"
    done = subprocess.run([sys.executable, "-c", program, path], capture_output=True, text=True, check=False)
    assert done.stderr.splitlines()[-1] == f"OSError: [Errno 27] File too large: '{path}'"
    assert list(tmp_path.iterdir()) == []
