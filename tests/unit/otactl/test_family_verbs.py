"""`otactl keys` and `otactl releases` as a person, and as a script, meets them."""

import json
import shutil

import pytest
from otactl.cli.main import main
from otactl.release.publish import publish
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace


@pytest.fixture
def line(place: Workspace, firmware_file) -> Workspace:
    for seed, version in enumerate(("1.0.0", "1.1.0")):
        publish(place, [firmware_file(seed=seed)], version)
    return place


def otactl(capsys, place: Workspace, *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words), "-w", str(place.root)])
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.mark.parametrize(
    "words",
    [
        *(f"keys {verb}" for verb in ("list", "new", "add", "trust", "export", "passphrase", "image", "device")),
        *(f"keys {verb}" for verb in ("rotate", "revoke", "threshold", "sign", "resign")),
        *(f"releases {verb}" for verb in ("list", "show", "withdraw", "renew", "promote")),
    ],
)
def test_each_has_help_with_an_example(capsys, words: str) -> None:
    assert main([*words.split(), "--help"]) == 0
    assert f"example: otactl {words}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize("words", [["keys"], ["keys", "nwe"], ["releases"], ["releases", "promote", "1.0.0"]])
def test_wrong_words_are_2(capsys, words: list[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_list_of_releases_is_a_table(capsys, line: Workspace) -> None:
    code, out, _ = otactl(capsys, line, "releases", "list")
    rows = [row.split() for row in out.splitlines()]
    assert (code, rows[0]) == (0, ["version", "sequence", "parts", "published", "channels"])
    assert [(row[0], row[1], row[2], row[4:]) for row in rows[1:]] == [
        ("1.0.0", "1", "esp32", []),
        ("1.1.0", "2", "esp32", ["stable"]),
    ]


def test_releases_that_no_key_of_the_workspace_signed_are_counted_and_not_listed(
    capsys, line: Workspace, stranger
) -> None:
    keys.public_file(line.key_file).unlink()
    shutil.copy(stranger, line.key_file)  # alone: it is trusted
    line.channel_file.unlink()
    code, out, _ = otactl(capsys, line, "releases", "list")
    assert code == 0
    assert out.splitlines()[1:] == [f"! 2 more in {line.releases}, not signed by a key that boards are told to trust"]


def test_a_release_that_is_damaged_is_counted_and_the_others_are_listed(capsys, line: Workspace) -> None:
    (line.releases / "1.0.0" / "release.json").write_text("{}")
    _, out, _ = otactl(capsys, line, "releases", "list")
    rows = out.splitlines()
    assert [row.split()[0] for row in rows[1:]] == ["1.1.0", "!"]
    assert rows[-1].startswith("! 1 more in ")


def test_a_release_is_shown_with_its_images(capsys, line: Workspace) -> None:
    _, out, _ = otactl(capsys, line, "releases", "show", "1.1.0")
    assert out.startswith("1.1.0  sequence 2  security version 0  ")
    assert "channels: stable\n  esp32  20000 bytes  1.1.0/esp32.bin\n    sha256 " in out


def test_a_withdrawal_says_what_it_means_for_boards(capsys, line: Workspace) -> None:
    code, out, _ = otactl(capsys, line, "releases", "withdraw", "1.1.0")
    assert (code, out.splitlines()[:2]) == (
        0,
        [
            "stable names 1.0.0 now (sequence 3), before 1.1.0",
            "  boards that have 1.1.0 take the image of 1.0.0 as a newer release, on trial;",
        ],
    )
    _, out, _ = otactl(capsys, line, "releases", "list")
    assert [row.split()[4:] for row in out.splitlines()[1:]] == [["stable", "(sequence", "3)"], ["withdrawn"]]


def test_a_promotion_says_who_takes_it(capsys, line: Workspace, firmware_file) -> None:
    words = ["publish", firmware_file(seed=2), "--version", "1.2.0", "--channel", "beta"]
    assert "only in beta: boards with the url https://127.0.0.1:8443/beta.json" in otactl(capsys, line, *words)[1]
    code, out, _ = otactl(capsys, line, "releases", "promote", "1.2.0", "--to", "stable")
    assert (code, out.splitlines()) == (
        0,
        [
            "stable names 1.2.0 now (sequence 3), before 1.1.0",
            "  boards with the url https://127.0.0.1:8443/stable.json take it at their next look, on trial",
        ],
    )


KEY = {"keyid", "file", "signs", "trusted", "roles", "private"}
CHANGE = {"version", "document", "missing", "made", "anew", "left", "strange"}


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        (["keys", "list"], {"version", "root", "release", "keys"}),
        (["keys", "new"], KEY | CHANGE),
        (["keys", "new", "--role", "root"], KEY | CHANGE),
        (["keys", "rotate"], CHANGE),
        (["keys", "resign"], {"anew", "left", "strange"}),
        (["releases", "list"], {"releases", "pending"}),
        (["releases", "show", "1.0.0"],
         {"version", "sequence", "security_version", "published", "targets", "channels", "withdrawn", "expires"}),
        (["releases", "renew", "--expires", "30d"], {"channel", "version", "sequence", "expires"}),
        (["releases", "withdraw", "1.1.0"], {"moves"}),
        (["releases", "promote", "1.0.0", "--to", "beta"], {"channel", "version", "sequence", "before", "again"}),
        (["releases", "show", "9"], {"error"}),
    ],
)  # fmt: skip
def test_scripts_get_one_object(capsys, line: Workspace, words: list[str], fields: set[str]) -> None:
    _, out, _ = otactl(capsys, line, *words, "--json")
    assert set(json.loads(out)) == fields


def test_the_way_out_of_a_key_that_boards_do_not_know(capsys, place: Workspace, firmware_file, stranger) -> None:
    shutil.copy(stranger, place.key_file)
    words = ["publish", firmware_file(), "--version", "1.0.0"]
    code, _, err = otactl(capsys, place, *words)
    assert (code, err.count("\n")) == (2, 1)
    assert "otactl keys add" in err
    _, out, _ = otactl(capsys, place, "keys", "list")
    assert [row.split()[1:] for row in out.splitlines()[1:3]] == [
        ["root,", "release", "not", "in", "keys/", "no"],
        ["none", "release.pem", "yes"],
    ]
    code, out, _ = otactl(capsys, place, "keys", "trust", place.key_file)
    assert code == 0
    assert f"`otactl deploy -w {place.root}` to each board, then publish" in out
    assert otactl(capsys, place, *words)[0] == 0
