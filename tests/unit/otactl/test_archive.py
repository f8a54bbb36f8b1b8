"""The archive of an application: what others' tools read of it, that it is made in one way only, which names it refuses."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from otactl.errors import ReleaseError
from otactl.release import archive

TREE = {
    "app.mpy": b"M\x06\0\x1f",
    "lib.py": b"",
    "lib/deep/x.bin": bytes(range(256)),
    "lib/a": b"123",
    "lib/ünder score.txt": b"four",
    "z" * 255: b"long",
}
# one small one, byte for byte, by cpio(5); made by hand
BY_HAND = (
    b"070701" + b"00000000" + b"000081A4" + b"00000000" * 2 + b"00000001" + b"00000000" + b"00000003" + b"00000000" * 4
    + b"00000007" + b"00000000" + b"app.py\0" + b"\0\0\0" + b"x=1\0"
    + b"070701" + b"00000000" + b"000081A4" + b"00000000" * 2 + b"00000001" + b"00000000" * 6
    + b"0000000B" + b"00000000" + b"TRAILER!!!\0" + b"\0\0\0"
)  # fmt: skip
PARTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/\\\0"), min_size=1, max_size=12)
NAMES = st.lists(PARTS, min_size=1, max_size=3).map("/".join)
TREES = st.dictionaries(NAMES, st.binary(max_size=40), max_size=6)


def tools(*words: str, given: bytes, at: Path) -> str:
    """What a tool of this machine says; the test is skipped where it is not installed."""
    if not shutil.which(words[0]):
        pytest.skip(f"no {words[0]} on this machine")
    return subprocess.run(words, input=given, cwd=at, check=True, stdout=subprocess.PIPE).stdout.decode()


def test_it_is_cpio_byte_for_byte() -> None:
    assert archive.pack({"app.py": b"x=1"}) == BY_HAND


@pytest.mark.parametrize(
    ("lister", "extractor"),
    [("cpio --list --quiet", "cpio --extract --make-directories --quiet"), ("bsdtar -tf -", "bsdtar -xf -")],
)
def test_the_tools_of_a_system_list_and_extract_it(
    tmp_path: Path, lister: str, extractor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    tree = TREE | {f"many/{n}": bytes(n) for n in range(300)}
    data = archive.pack(tree)
    assert tools(*lister.split(), given=data, at=tmp_path).splitlines() == archive.ordered(tree)
    tools(*extractor.split(), given=data, at=tmp_path)
    found = {str(path.relative_to(tmp_path)): path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert found == tree


def test_the_order_is_that_of_a_walk() -> None:
    assert archive.ordered(TREE) == [
        "app.mpy",
        "lib/a",
        "lib/deep/x.bin",
        "lib/ünder score.txt",
        "lib.py",
        "z" * 255,
    ]


@settings(max_examples=60, deadline=None)
@given(TREES, st.randoms())
def test_any_tree_comes_back_and_its_order_is_of_no_matter(tree: dict[str, bytes], random) -> None:
    try:
        data = archive.pack(tree)
    except ReleaseError:
        assume(False)
    shuffled = list(tree.items())
    random.shuffle(shuffled)
    assert archive.pack(dict(shuffled)) == data
    assert archive.unpack(data) == tree


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_byte_that_differs_is_another_tree_or_no_archive(drawn: st.DataObject) -> None:
    data = archive.pack({"app.py": b"x = 1\n", "lib/y.py": b""})
    place = drawn.draw(st.integers(0, len(data) - 1))
    other = data[:place] + bytes([data[place] ^ drawn.draw(st.integers(1, 255))]) + data[place + 1 :]
    try:
        assert archive.pack(archive.unpack(other)) == other
    except ReleaseError:
        pass


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data[:-124],  # the trailer
        lambda data: data + b"\0",
        lambda data: data + data,
        lambda data: data.replace(b"000081A4", b"000081a4"),
        lambda data: data.replace(b"000081A4", b"000081FF"),
        lambda data: data.replace(b"070701", b"070702"),
        lambda data: data.replace(b"app.py\0\0\0\0", b"app.py\0!\0\0"),
        lambda data: b"\x1f\x8b" + data,
        lambda data: data[:132] + data,  # the same name twice
    ],
)
def test_what_publish_would_not_make_is_no_archive(spoil) -> None:
    spoiled = spoil(BY_HAND)
    assert spoiled != BY_HAND
    with pytest.raises(ReleaseError, match="no archive of an application"):
        archive.unpack(spoiled)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("", "not a path below"),
        ("/app.py", "not a path below"),
        ("../app.py", "not a path below"),
        ("lib/../../app.py", "not a path below"),
        ("./app.py", "not a path below"),
        ("lib//x.py", "not a path below"),
        ("lib/", "not a path below"),
        ("lib\\x.py", "backslash"),
        ("a\0b", "NUL"),
        ("\udcff.py", "no UTF-8"),
        ("x" * 256, "255 bytes"),
        ("lib/" + "ä" * 128, "255 bytes"),
        ("TRAILER!!!", "ends with this name"),
    ],
)
def test_a_name_that_no_board_takes_is_refused(name: str, why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        archive.pack({"app.py": b"", name: b""})


def test_a_name_is_a_file_or_a_directory() -> None:
    with pytest.raises(ReleaseError, match=r"'lib/x' is a file and a directory"):
        archive.pack({"lib/x": b"", "lib/x/y": b""})
