"""What becomes of a folder that is published as an application: what stays behind, what is refused, what boards get."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from littlefs import LittleFS
from otactl.errors import ReleaseError, UsageError
from otactl.release import archive, channels, compiled, folder, publish, room, taken
from otactl.release.application import Asked
from otactl.release.encrypted import Asked as Encrypt
from otactl.workspace.workspace import Workspace

NATIVE = b"import micropython\n\n@micropython.native\ndef f(a):\n    return a + 1\n"
PROGRAM = {"app.py": b"import tool\nprint(tool.NAME)\n", "tool.py": b"NAME = 'tool'\n", "logo.bin": bytes(5000)}


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """program(files) -> a folder with these."""

    def make(files: dict[str, bytes]) -> Path:
        root = tmp_path / "program"
        for name, data in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return root

    return make


def packed(place: Workspace, done: publish.Published) -> dict[str, bytes]:
    """The files in a release's archive."""
    return archive.unpack((place.releases / done.targets[-1]["url"]).read_bytes())


def test_a_folder_is_compiled_packed_and_signed(place: Workspace, program) -> None:
    done = publish.publish(place, [], "1.0.0", app=Asked(program(PROGRAM)))
    files = packed(place, done)
    assert sorted(files) == ["app.mpy", "logo.bin", "tool.mpy"]
    assert files["app.mpy"][:2] == b"M\x06" and b"app.py" in files["app.mpy"]
    (target,) = (channels.current(place) or {})["targets"]
    assert target == done.targets[0]
    assert (target["kind"], target["url"], target["mpy"], target["files"]) == ("application", "1.0.0/app.cpio", 6, 3)
    assert target["unpacked"] == sum(map(len, files.values()))
    assert "chip" not in target and "build" not in target
    assert done.lines == [
        "compiled to .mpy version 6: nothing here says which MicroPython the boards run",
        "takes 16 KiB of a board's files, and as much again: each slot has its own",
    ]


def test_source_stays_as_it_is_but_is_compiled_to_know_that_it_can_be(place: Workspace, program) -> None:
    done = publish.publish(place, [], "1.0.0", app=Asked(program(PROGRAM), source=True))
    assert packed(place, done) == PROGRAM
    assert "mpy" not in done.targets[0]
    program({"tool.py": b"def f(:\n"})
    with pytest.raises(ReleaseError, match=r"^tool\.py, line 1: SyntaxError"):
        publish.publish(place, [], "1.0.1", app=Asked(program({}), source=True))


def test_with_firmware_it_is_for_the_same_boards(place: Workspace, firmware_file, program) -> None:
    images = [firmware_file("esp32"), firmware_file("esp32c3")]
    images[0].write_bytes(images[0].read_bytes() + b"MicroPython v1.26.1 on 2025-09-11\0")
    done = publish.publish(place, images, "1.0.0", app=Asked(program(PROGRAM)), build="ESP32*")
    parts = [(one["kind"], one["chip"], one["build"]) for one in done.targets]
    assert parts == [
        ("firmware", "esp32", "ESP32*"),
        ("firmware", "esp32c3", "ESP32*"),
        ("application", "esp32", "ESP32*"),
        ("application", "esp32c3", "ESP32*"),
    ]
    assert done.lines[0] == "compiled to .mpy version 6: as MicroPython 1.26.1 reads it, the firmware beside it"
    later = publish.publish(place, [], "1.0.1", app=Asked(program({})))
    assert later.lines[0] == "compiled to .mpy version 6: as MicroPython 1.26.1 reads it, the firmware of 1.0.0"
    assert [one["kind"] for one in later.targets] == ["application"]


@pytest.mark.parametrize(
    ("files", "more", "why"),
    [
        ({}, {}, r"no app\.py"),
        ({"main.py": b""}, {}, r"call main\.py app\.py"),
        ({"src/app.py": b""}, {}, r"is it --app src\?"),
        ({"app.py": b"x = 1\nfor\n"}, {}, r"^app\.py, line 2: SyntaxError: invalid syntax"),
        ({"app.py": b"", "time.py": b""}, {}, r"time\.mpy has the name of MicroPython's own time.*--force-names"),
        ({"app.py": b"", "urequests.py": b""}, {}, "MicroPython's own urequests"),
        ({"app.py": b"", "usocket/x.txt": b""}, {}, "usocket/x.txt has the name of MicroPython's own socket"),
        ({"app.py": b"", "asyncio/extra.py": b""}, {}, "MicroPython's own asyncio"),
        ({"app.py": b"", "ota/agent.py": b""}, {}, "the agent"),
        ({"app.py": b"", "a.py": b"", "a.mpy": b"M\x06\0\x1f"}, {}, r"a\.py and a\.mpy are one module"),
        ({"app.py": b"", "a.py": b"", "a/__init__.py": b""}, {}, "are one module"),
        ({"app.py": b"", "fonts.py": b"", "fonts/x.bin": b""}, {}, r"the folder fonts/ hides fonts\.mpy"),
        ({"app.py": b"", "x" * 120 + ".py": b""}, {}, "paths of 116 bytes"),
        ({"app.py": b"", "old.mpy": b"M\x05\0\x1f"}, {"mpy": 6}, r"old\.mpy: .mpy version 5, and the boards read 6"),
        ({"app.py": b""}, {"mpy": 7}, r"app\.mpy: .mpy version 6, and the boards read 7.*another mpy-cross"),
        ({"app.py": b"", "x.mpy": b"no"}, {}, r"x\.mpy is no \.mpy file"),
        ({"app.py": NATIVE}, {}, r"app\.py, line \d+: machine code .* --chip"),
        ({"app.py": b"", "n.mpy": b"M\x06\x2b\x1f"}, {}, "machine code for xtensawin: name the chips"),
        ({"app.py": b"", "n.mpy": b"M\x06\x2b\x1f"}, {"chips": ["esp32c3"]}, "xtensawin, which esp32c3 does not run"),
        ({"app.py": b"", "back\\slash": b""}, {}, "backslash"),
        ({"app.py": b"", "key.pem": b"-----BEGIN PRIVATE KEY-----\n"}, {}, r"private key.*!key\.pem"),
    ],
)
def test_what_no_board_would_run_is_refused_and_nothing_is_written(
    place: Workspace, program, files: dict[str, bytes], more: dict, why: str
) -> None:
    root = program({"readme.md": b""} | files)
    with pytest.raises(ReleaseError, match=why):
        publish.publish(place, [], "1.0.0", app=Asked(root, **more))
    assert list(place.releases.iterdir()) == []
    assert not (place.root / "sequence").exists()


def test_a_link_and_a_pipe_are_refused(place: Workspace, program) -> None:
    root = program({"app.py": b""})
    (root / "link.py").symlink_to(root / "app.py")
    with pytest.raises(ReleaseError, match=r"link\.py is a link"):
        publish.publish(place, [], "1.0.0", app=Asked(root))
    (root / "link.py").unlink()
    os.mkfifo(root / "pipe")
    with pytest.raises(ReleaseError, match="pipe is no file"):
        publish.publish(place, [], "1.0.0", app=Asked(root))


def test_names_of_others_modules_may_be_forced(place: Workspace, program) -> None:
    done = publish.publish(place, [], "1.0.0", app=Asked(program({"app.py": b"", "time.py": b""}), any_names=True))
    assert "time.mpy" in packed(place, done)


def test_machine_code_is_for_the_chips_that_run_it(place: Workspace, program) -> None:
    done = publish.publish(place, [], "1.0.0", app=Asked(program({"app.py": NATIVE}), chips=["esp32", "esp32s3"]))
    assert [one["chip"] for one in done.targets] == ["esp32", "esp32s3"]
    assert compiled.header(packed(place, done)["app.mpy"], "").architecture == "xtensawin"


def test_hooks_of_the_folder_stay_behind_and_traps_are_told(place: Workspace, program) -> None:
    files = {"app.py": b"", "boot.py": b"", "main.py": b"", "lib/a.py": b"", "drivers/b.py": b"", "fonts/x.bin": b""}
    done = publish.publish(place, [], "1.0.0", app=Asked(program(files)))
    assert set(packed(place, done)) == {"app.mpy", "lib/a.mpy", "drivers/b.mpy", "fonts/x.bin"}
    assert [note.split(" ")[0] for note in done.notes] == ["boot.py", "main.py", "drivers/", "lib/"]


@pytest.mark.parametrize(
    ("rules", "stay"),
    [
        ("", {"app.py", "a/b/c.txt", "a/d.txt", "build/x"}),
        ("*.txt", {"app.py", "build/x"}),
        ("*.txt\n!d.txt", {"app.py", "a/d.txt", "build/x"}),
        ("/a", {"app.py", "build/x"}),
        ("b/", {"app.py", "a/d.txt", "build/x"}),
        ("x/", {"app.py", "a/b/c.txt", "a/d.txt", "build/x"}),
        ("a/*.txt", {"app.py", "a/b/c.txt", "build/x"}),
        ("a/**/*.txt", {"app.py", "build/x"}),
        ("# *.txt\n\n  \nbuild", {"app.py", "a/b/c.txt", "a/d.txt"}),
        ("!tests/\n!test_it.py", {"app.py", "a/b/c.txt", "a/d.txt", "build/x", "tests/test_it.py"}),
        ("a\n!a/d.txt", {"app.py", "build/x"}),
    ],
)
def test_otaignore_leaves_out_what_it_names(program, rules: str, stay: set[str]) -> None:
    files = [
        "app.py",
        "a/b/c.txt",
        "a/d.txt",
        "build/x",
        "tests/test_it.py",
        "__pycache__/x.pyc",
        ".git/config",
        "R.md",
    ]
    root = program(dict.fromkeys(files, b"x") | {".otaignore": rules.encode()})
    assert set(folder.read(root)) == stay


def test_a_workspace_that_is_a_program_keeps_its_keys(place: Workspace) -> None:
    (place.root / "app.py").write_text("")
    (place.root / "keys" / "app.py").write_text("")
    assert set(folder.read(place.root)) == {"app.py"}


def test_a_secret_is_taken_where_it_is_asked_for(program) -> None:
    root = program({"app.py": b"", "key.pem": b"-----BEGIN PRIVATE KEY-----\n", ".otaignore": b"!key.pem\n"})
    assert "key.pem" in folder.read(root)


@pytest.mark.parametrize(
    ("app", "more", "why"),
    [
        (None, {}, "nothing to publish"),
        ("missing", {}, "no such folder"),
        ("program", {"encryption": Encrypt()}, "nothing to encrypt"),
    ],
)
def test_wrong_usage(place: Workspace, program, tmp_path: Path, app: str | None, more: dict, why: str) -> None:
    program(PROGRAM)
    with pytest.raises(UsageError, match=why):
        publish.publish(place, [], "1.0.0", app=Asked(tmp_path / app) if app else None, **more)


def test_an_application_alone_goes_to_boards_that_want_encrypted_firmware(place: Workspace, program) -> None:
    place.board["encryption"] = {}
    assert publish.publish(place, [], "1.0.0", app=Asked(program(PROGRAM))).sequence == 1


def test_a_release_with_an_application_is_promoted_and_withdrawn(place: Workspace, program) -> None:
    publish.publish(place, [], "1.0.0", app=Asked(program(PROGRAM)))
    publish.publish(place, [], "1.1.0", app=Asked(program({"app.py": b"x = 1\n"})))
    assert channels.promote(place, "1.0.0", "beta").version == "1.0.0"
    (moved,) = channels.withdraw(place, "1.1.0")
    assert (moved.version, moved.sequence) == ("1.0.0", 3)
    (place.releases / "1.0.0" / "app.cpio").unlink()
    with pytest.raises(ReleaseError, match=r"app\.cpio is missing"):
        channels.promote(place, "1.0.0", "late")


@pytest.mark.parametrize(
    "sizes",
    [
        [],
        [1],
        [128, 129],
        [4088, 4089, 8172, 8173, 40000],
        [100] * 40,
        [2100] * 40,
        [300_000],
    ],
)
def test_the_room_is_what_littlefs_takes(sizes: list[int]) -> None:
    files = {f"part{n % 3}/module{n}.mpy": size for n, size in enumerate(sizes)}
    fs = LittleFS(block_size=4096, block_count=400, read_size=32, prog_size=32, cache_size=128, lookahead_size=32)
    empty = fs.used_block_count
    fs.mkdir("/app-ota_0")
    for name, size in files.items():
        fs.makedirs(f"/app-ota_0/{name.partition('/')[0]}", exist_ok=True)
        with fs.open(f"/app-ota_0/{name}", "wb") as file:
            file.write(bytes(size))
    assert abs(room.blocks(files) - (fs.used_block_count - empty)) <= len(sizes) // 20


def test_names_that_are_taken_are_those_of_real_firmware(real_firmware: Path) -> None:
    app = (real_firmware / "ESP32_GENERIC-20250911-v1.26.1.bin").read_bytes()
    missing = {name for name in taken.BUILT_IN if name.encode() + b"\0" not in app}
    missing |= {name for name in taken.FROZEN if f"{name}.py\0".encode() not in app and f"{name}/".encode() not in app}
    assert missing == set()
