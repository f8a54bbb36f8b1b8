"""The NVS store: IDF's bytes, MicroPython's errors, and what a power cut anywhere leaves."""

import random
import subprocess
import sys
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from vboard.flash.nor import BLOCK, Flash, Operation, PowerLost
from vboard.flash.nvs import Nvs, NvsError
from vboard.flash.nvs_item import Kind

AT = 0x1000
PAGE = 0x1000
ENTRIES = 126  # of a page
SIZE = 5 * PAGE
LOST = "lost"
Value = int | bytes | str | None


@pytest.fixture
def flash(tmp_path: Path) -> Flash:
    return Flash(tmp_path / "flash.bin", BLOCK)


def mount(flash: Flash, size: int = SIZE) -> Nvs:
    return Nvs(flash, AT, size)


def get(store: Nvs, key: str, kind: type) -> Value:
    """LOST where there is no value."""
    try:
        ns = store.namespace("t")
        return store.get_i32(ns, key) if kind is int else store.get_blob(ns, key)
    except NvsError as error:
        assert error.name == "ESP_ERR_NVS_NOT_FOUND"
        return LOST


def put(store: Nvs, key: str, value: int | bytes | None) -> None:
    """None erases."""
    ns = store.namespace("t")
    if value is None:
        store.erase_key(ns, key)
    elif isinstance(value, int):
        store.set_i32(ns, key, value)
    else:
        store.set_blob(ns, key, value)


def error_of(call: Callable[[], object]) -> tuple[int, str]:
    with pytest.raises(NvsError) as caught:
        call()
    return caught.value.code, caught.value.name


def blob(n: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(n)


@pytest.mark.parametrize("key", ["", "x", "fifteen_chars__"])
def test_values_outlive_a_restart(flash: Flash, key: str) -> None:
    store = mount(flash)
    put(store, key, -5)
    put(store, "blob", blob(300))
    again = mount(flash)
    assert get(again, key, int) == -5
    assert get(again, "blob", bytes) == blob(300)


@pytest.mark.parametrize("value", [-(1 << 31), -1, 0, 1, (1 << 31) - 1])
def test_an_i32_keeps_its_sign(flash: Flash, value: int) -> None:
    put(mount(flash), "n", value)
    assert get(mount(flash), "n", int) == value


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 64, 3968, 4000, 4001, 9000, 15000])
def test_a_blob_of_any_size_is_read_back(flash: Flash, size: int) -> None:
    put(mount(flash), "b", blob(size))
    assert get(mount(flash), "b", bytes) == blob(size)


def test_namespaces_do_not_share_keys(flash: Flash) -> None:
    store = mount(flash)
    one, two = store.namespace("one"), store.namespace("two")
    store.set_i32(one, "k", 1)
    store.set_i32(two, "k", 2)
    again = mount(flash)
    assert (again.namespace("two"), again.namespace("one")) == (two, one)
    assert (again.get_i32(one, "k"), again.get_i32(two, "k")) == (1, 2)


@pytest.mark.parametrize("order", [(3, b"abc"), (b"abc", 3)])
def test_a_key_given_another_type_changes_it(flash: Flash, order: tuple[int | bytes, ...]) -> None:
    store = mount(flash)
    for value in order:
        put(store, "k", value)
    for reader in (store, mount(flash)):
        assert get(reader, "k", type(order[1])) == order[1]
        assert get(reader, "k", type(order[0])) == LOST


@pytest.mark.parametrize("value", [7, b"", b"state", blob(6000)])
def test_an_unchanged_value_writes_nothing(flash: Flash, value: int | bytes) -> None:
    store = mount(flash)
    put(store, "k", value)
    flash.trace.clear()
    put(store, "k", value)
    put(mount(flash), "k", value)
    assert flash.trace == []


def test_an_i32_costs_three_programs_of_36_bytes_and_no_erase(flash: Flash) -> None:
    store = mount(flash)
    put(store, "n", 1)
    flash.trace.clear()
    put(store, "n", 2)
    assert [(op.kind, op.size, op.actor) for op in flash.trace] == [
        ("program", 32, "nvs"),
        ("program", 4, "nvs"),
        ("program", 4, "nvs"),
    ]


# What a real board answers (docs: esp32.NVS of MicroPython 1.26.1, IDF 5.4.2)
@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda s, n: s.get_i32(n, "none"), (-4354, "ESP_ERR_NVS_NOT_FOUND")),
        (lambda s, n: s.get_blob(n, "none"), (-4354, "ESP_ERR_NVS_NOT_FOUND")),
        (lambda s, n: s.get_blob(n, "number"), (-4354, "ESP_ERR_NVS_NOT_FOUND")),
        (lambda s, n: s.get_i32(n, "bytes"), (-4354, "ESP_ERR_NVS_NOT_FOUND")),
        (lambda s, n: s.set_i32(n, "k" * 16, 1), (-4361, "ESP_ERR_NVS_KEY_TOO_LONG")),
        (lambda s, n: s.set_blob(n, "k" * 16, b"1"), (-4361, "ESP_ERR_NVS_KEY_TOO_LONG")),
        (lambda s, n: s.namespace("n" * 16), (-4361, "ESP_ERR_NVS_KEY_TOO_LONG")),
        (lambda s, n: s.get_blob(n, "bytes", 2), (-4364, "ESP_ERR_NVS_INVALID_LENGTH")),
        (lambda s, n: s.set_blob(n, "b", bytes(20000)), (-4366, "ESP_ERR_NVS_VALUE_TOO_LONG")),
        (lambda s, n: s.erase_key(n, "none"), (-4354, "ESP_ERR_NVS_NOT_FOUND")),
    ],
)
def test_errors_are_those_of_a_real_board(
    flash: Flash, call: Callable[[Nvs, int], object], error: tuple[int, str]
) -> None:
    store = mount(flash)
    put(store, "number", 1)
    put(store, "bytes", b"12345")
    assert error_of(lambda: call(store, store.namespace("t"))) == error


def test_a_buffer_that_just_holds_the_blob_is_enough(flash: Flash) -> None:
    store = mount(flash)
    put(store, "b", b"12345")
    assert store.get_blob(store.namespace("t"), "b", 5) == b"12345"


def test_a_long_key_reads_the_15_bytes_it_begins_with(flash: Flash) -> None:
    put(mount(flash), "k" * 15, 4)
    assert get(mount(flash), "k" * 16, int) == 4


@pytest.mark.parametrize("value", [9, b"x", blob(6000)])
def test_an_erased_key_stays_away(flash: Flash, value: int | bytes) -> None:
    store = mount(flash)
    put(store, "k", value)
    put(store, "k", None)
    assert get(store, "k", type(value)) == LOST
    assert get(mount(flash), "k", type(value)) == LOST


def test_a_full_store_says_so_and_keeps_what_it_has(flash: Flash) -> None:
    store = mount(flash, 3 * PAGE)
    kept = 0
    with pytest.raises(NvsError, match="NOT_ENOUGH_SPACE"):
        for kept in range(1000):
            put(store, f"k{kept}", kept)
    assert kept == 2 * ENTRIES - 1  # one entry is the namespace, one page stays free
    again = mount(flash, 3 * PAGE)
    assert [get(again, f"k{i}", int) for i in range(kept)] == list(range(kept))


def test_one_key_may_be_written_for_ever(flash: Flash) -> None:
    store = mount(flash, 3 * PAGE)
    put(store, "kept", b"kept")
    for n in range(3000):
        put(store, "n", n)
    assert get(mount(flash, 3 * PAGE), "n", int) == 2999
    assert get(mount(flash, 3 * PAGE), "kept", bytes) == b"kept"


def test_a_collection_moves_what_counts_and_erases_one_page(flash: Flash) -> None:
    store = mount(flash, 3 * PAGE)
    fill_all(store)
    flash.trace.clear()
    put(store, "k", 1)
    erased = [(op.kind, op.size) for op in flash.trace if op.kind == "erase"]
    assert erased == [("erase", PAGE)]
    for reader in (store, mount(flash, 3 * PAGE)):
        assert [get(reader, key, int) for key in ("kept1", "kept2", "k")] == [12345, 12345, 1]


# --- the same bytes as IDF's own generator ------------------------------------------------------


def generated(folder: Path, rows: list[str], size: int = SIZE, version: int = 2) -> bytes:
    pytest.importorskip("esp_idf_nvs_partition_gen")
    (folder / "in.csv").write_text("key,type,encoding,value\n" + "\n".join(rows) + "\n")
    tool = [sys.executable, "-m", "esp_idf_nvs_partition_gen", "generate"]
    arguments = ["--version", str(version), "--outdir", str(folder), str(folder / "in.csv")]
    subprocess.run([*tool, *arguments, "out.bin", hex(size)], check=True, capture_output=True)
    return (folder / "out.bin").read_bytes()


def test_a_partition_of_idfs_generator_is_byte_for_byte_ours(flash: Flash, tmp_path: Path) -> None:
    job, big = blob(516), blob(6000, seed=1)
    (tmp_path / "big").write_bytes(big)
    rows = [
        "ota,namespace,,",
        "count,data,i32,-5",
        f"job,data,hex2bin,{job.hex()}",
        "fifteen_chars__,data,i32,2147483647",
        "other,namespace,,",
        f"big,file,binary,{tmp_path / 'big'}",
        "small,data,i32,7",
    ]
    theirs = generated(tmp_path, rows)
    store = mount(flash)
    ota = store.namespace("ota")
    store.set_i32(ota, "count", -5)
    store.set_blob(ota, "job", job)
    store.set_i32(ota, "fifteen_chars__", 2147483647)
    other = store.namespace("other")
    store.set_blob(other, "big", big)
    store.set_i32(other, "small", 7)
    assert flash.read(AT, SIZE) == theirs


@pytest.mark.parametrize("version", [1, 2])
def test_values_of_every_type_are_carried_through_a_collection(flash: Flash, tmp_path: Path, version: int) -> None:
    rows = ["t,namespace,,", "text,data,string,hello", "byte,data,u8,3", "long,data,i64,-9"]
    rows += ["n,data,i32,77", "b,data,hex2bin,00ff10"]
    flash.program(AT, generated(tmp_path, rows, 3 * PAGE, version), actor="host")
    store = mount(flash, 3 * PAGE)
    for n in range(1000):
        put(store, "wear", n)
    assert flash.erases > 2
    for reader in (store, mount(flash, 3 * PAGE)):
        assert get(reader, "n", int) == 77
        assert get(reader, "b", bytes) == b"\x00\xff\x10"
    assert flash.read(AT, 3 * PAGE).count(b"hello\0") == 1


# --- power cuts ---------------------------------------------------------------------------------


@dataclass
class Cut:
    """Ends the power at operation `at` (0 the first from now), after `torn` bytes of a program."""

    flash: Flash
    at: int
    torn: int = 0
    seen: list[Operation] = field(default_factory=list)

    def __call__(self, operation: Operation, data: bytes | None) -> None:
        self.seen.append(operation)
        if len(self.seen) <= self.at:
            return
        self.flash.before = None
        if data and self.torn:
            self.flash.program(operation.address, data[: self.torn], actor="nvs")
        raise PowerLost


def cut_at(flash: Flash, at: int, torn: int, change: Callable[[Nvs], None], size: int) -> bool:
    """Whether the power went before the change was through."""
    store = mount(flash, size)
    flash.before = Cut(flash, at, torn)
    try:
        change(store)
    except PowerLost:
        return True
    finally:
        flash.before = None
    return False


def fill(store: Nvs, entries: int = 0) -> None:
    """Leaves so many free on the current page, and on it a value worth keeping."""
    put(store, f"kept{len(store._pages.used)}", 12345)
    while (room := ENTRIES - store._pages.current.next_free) > entries:
        put(store, "filler", room)


def fill_all(store: Nvs) -> None:
    """Every page but the one that is kept free."""
    fill(store)
    while len(store._pages.free) > 1:
        put(store, "filler", -1)
        fill(store)


def turn(store: Nvs, entries: int) -> None:
    """To a page that the value before is not on, with so many entries free."""
    fill(store)
    put(store, "filler", -1)
    fill(store, entries)


# how the store got where it is, key, value before, value after
Case = tuple[Callable[[Nvs], None], str, int | bytes | None, int | bytes | None]

CASES: dict[str, Case] = {
    "new i32": (lambda s: None, "k", None, 5),
    "i32 update": (lambda s: None, "k", 4, 5),
    "i32 update on a full page": (fill, "k", 4, 5),
    "i32 update that collects": (fill_all, "k", 4, 5),
    "i32 erased": (lambda s: None, "k", 4, None),
    "new blob": (lambda s: None, "k", None, blob(200)),
    "blob onto the next page": (lambda s: fill(s, 8), "k", blob(300), blob(300, 1)),
    "blob on another page": (lambda s: turn(s, 100), "k", blob(300), blob(300, 1)),
    "blob over two pages": (lambda s: turn(s, 60), "k", blob(3000), blob(3000, 1)),
    "blob erased": (lambda s: None, "k", blob(200), None),
}


def states(flash: Flash, case: Case, torn: int) -> list[Value]:
    """What the key reads after a cut at each operation of the change, and after none."""
    prepare, key, before, after = case
    size = 4 * PAGE
    kind = bytes if bytes in (type(before), type(after)) else int
    store = mount(flash, size)
    store.namespace("t")
    if before is not None:
        put(store, key, before)
    prepare(store)
    start = flash.read(0, flash.size)
    found: list[Value] = []
    for at in range(10_000):
        flash.erase(0, flash.size, actor="host")
        flash.program(0, start, actor="host")
        lost_power = cut_at(flash, at, torn, lambda s: put(s, key, after), size)
        again = mount(flash, size)
        found.append(get(again, key, kind))
        # the store is sound: what was not touched is there, nothing more to mend, and it works on
        for number in range(4):
            if b"kept%d" % number in start:
                assert get(again, f"kept{number}", int) == 12345
        flash.trace.clear()
        mount(flash, size)
        assert flash.trace == []
        for value in (1, 2, 3) if kind is int else (b"1", b"2", b"3"):
            put(again, key, value)
            assert get(mount(flash, size), key, kind) == value
        if not lost_power:
            assert at > 0
            break
    return found


@pytest.mark.parametrize("torn", [0, 1, 4, 17, 31])
@pytest.mark.parametrize("case", CASES)
def test_a_cut_anywhere_leaves_the_old_value_or_the_new(flash: Flash, case: str, torn: int) -> None:
    _, _, before, after = CASES[case]
    old = LOST if before is None else before
    new = LOST if after is None else after
    values = states(flash, CASES[case], torn)
    changed = values.index(new)
    assert set(values[:changed]) <= {old}
    assert set(values[changed:]) == {new}
    assert values[-1] == new


def test_a_cut_between_data_and_index_of_a_blob_loses_both_as_on_a_chip(flash: Flash) -> None:
    """IDF 5 repairs this wrongly when old and new data share a page: see Page._drop_older_than."""
    values = states(flash, (lambda s: None, "k", blob(200), blob(200, 1)), 0)
    assert values.count(LOST) == 1
    lost = values.index(LOST)
    assert set(values[:lost]) == {blob(200)}
    assert values[lost + 1] == blob(200)  # the index was begun, and the repair is right again
    assert values[-1] == blob(200, 1)


def test_a_cut_in_a_new_namespace_leaves_one_that_works(flash: Flash) -> None:
    for at in range(4):
        flash.erase(0, flash.size, actor="host")
        put(mount(flash), "k", 1)
        cut_at(flash, at, 0, lambda s: s.set_i32(s.namespace("new"), "k", 2), SIZE)
        store = mount(flash)
        store.set_i32(store.namespace("new"), "k", 3)
        again = mount(flash)
        assert again.get_i32(again.namespace("new"), "k") == 3
        assert get(again, "k", int) == 1


@pytest.mark.parametrize("seed", range(6))
def test_many_changes_with_cuts_between_agree_with_a_model(flash: Flash, seed: int) -> None:
    dice = random.Random(seed)
    size = 4 * PAGE
    model: dict[tuple[str, type], int | bytes] = {}
    for _ in range(150):
        key, kind = dice.choice([("a", int), ("b", int), ("c", bytes), ("d", bytes), ("e", bytes)])
        value = dice.randrange(1 << 31) if kind is int else dice.randbytes(dice.randrange(900))
        at, torn = dice.choice([(dice.randrange(60), dice.randrange(32)), (10_000, 0)])
        new = None if (key, kind) in model and dice.random() < 0.1 else value
        lost_power = cut_at(flash, at, torn, lambda s: put(s, key, new), size)
        store = mount(flash, size)
        old: Value = model.get((key, kind), LOST)
        read = get(store, key, kind)
        wanted = LOST if new is None else new
        allowed = {old, wanted} if lost_power else {wanted}
        if lost_power and kind is bytes:
            allowed.add(LOST)  # the window of the test above
        assert read in allowed
        model.pop((key, kind), None)
        if isinstance(read, int | bytes):
            model[key, kind] = read
        for (other, other_kind), value in model.items():
            assert get(store, other, other_kind) == value
    assert flash.erases >= 5  # pages were collected


# --- damage that no cut makes -------------------------------------------------------------------


def test_a_blank_partition_is_not_written_until_there_is_something_to_keep(flash: Flash) -> None:
    mount(flash)
    assert flash.trace == []


def test_a_page_with_a_bad_header_is_given_up_and_used_again(flash: Flash) -> None:
    flash.program(AT, b"\xfe\xff\xff\xff" + bytes(28), actor="host")
    store = mount(flash)
    assert flash.trace[-1].kind == "erase"
    put(store, "n", 1)
    assert get(mount(flash), "n", int) == 1


@pytest.mark.parametrize("why", ["no page free", "newer format"])
def test_a_store_that_idf_cannot_mount_is_erased_whole(flash: Flash, why: str) -> None:
    """MicroPython does so when it starts: what must not be lost has no place here."""
    size = 3 * PAGE
    store = mount(flash, size)
    put(store, "n", 1)
    if why == "no page free":
        first = flash.read(AT, PAGE)
        for page in (1, 2):
            flash.program(AT + page * PAGE, first, actor="host")
    else:
        flash.erase(AT, PAGE, actor="host")
        header = bytes.fromhex("feffffff00000000fd") + b"\xff" * 19
        crc = zlib.crc32(header[4:], 0xFFFFFFFF).to_bytes(4, "little")
        flash.program(AT, header + crc, actor="host")
    assert get(mount(flash, size), "n", int) == LOST
    assert flash.read(AT, size).count(b"\xff") > size - 200


def test_a_page_that_is_not_blank_is_erased_before_its_first_use(flash: Flash) -> None:
    flash.program(AT + 100, b"\0", actor="host")
    put(mount(flash), "n", 1)
    assert get(mount(flash), "n", int) == 1


def test_of_two_items_with_one_key_the_newer_counts(flash: Flash) -> None:
    store = mount(flash)
    ns = store.namespace("t")
    for key, value in (b"n", b"\1\0\0\0"), (b"n", b"\2\0\0\0"), (b"m", b"\3\0\0\0"):
        store._pages.current.write_item(ns, Kind.I32, key, value)
    again = mount(flash)
    assert (get(again, "n", int), get(again, "m", int)) == (2, 3)


def test_a_blob_with_a_missing_piece_on_a_full_page_is_gone(flash: Flash) -> None:
    store = mount(flash)
    put(store, "b", blob(200))  # entries 1 to 8, after the namespace
    fill(store)
    put(store, "n", 1)
    flash.program(AT + 32, b"\xff\xfc", actor="host")  # entry 4 marked erased
    again = mount(flash)
    assert get(again, "b", bytes) == LOST
    assert get(again, "kept1", int) == 12345


def test_data_that_rotted_is_not_found_and_its_key_can_be_written_again(flash: Flash) -> None:
    store = mount(flash)
    put(store, "b", blob(200))
    at = flash.read(AT, PAGE).index(blob(200)[:32])
    flash.program(AT + at, b"\0", actor="host")
    store = mount(flash)
    assert get(store, "b", bytes) == LOST
    put(store, "b", b"new")
    assert get(mount(flash), "b", bytes) == b"new"


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("value", [7, blob(200)], ids=["i32", "blob"])
def test_a_value_over_the_remains_of_a_torn_one_holds_when_it_is_written_twice(
    flash: Flash, value: int | bytes, times: int
) -> None:
    """IDF takes an entry for free when its first word is blank; what else power left there is in the way."""
    put(mount(flash), "other", 1)
    free = flash.read(AT, PAGE).rindex(b"other") - 8 + 32
    flash.program(AT + free + 4, bytes(8), actor="host")
    store = mount(flash)
    for _ in range(times):
        put(store, "k", value)
    assert get(mount(flash), "k", type(value)) == (LOST if times == 1 else value)
    assert get(mount(flash), "other", int) == 1


def test_a_value_in_a_free_entry_before_a_used_one_holds_until_the_next_mount(flash: Flash) -> None:
    """A repair of the table that was torn: its bits of the used entries cannot be taken back."""
    put(mount(flash), "other", 1)
    free = (flash.read(AT, PAGE).rindex(b"other") - 8 - 64) // 32 + 1
    flash.program(AT + 32 + (free + 1) // 4, bytes([0xFF & ~(3 << (free + 1) % 4 * 2)]), actor="host")
    store = mount(flash)
    put(store, "k", 7)
    put(store, "lost", 8)
    assert (get(store, "k", int), get(store, "lost", int)) == (7, 8)
    again = mount(flash)
    assert (get(again, "k", int), get(again, "lost", int), get(again, "other", int)) == (7, LOST, 1)


def test_a_failed_replacement_takes_the_old_chunks_as_idf_up_to_5_5_does(flash: Flash) -> None:
    """The caller was told NOT_ENOUGH_SPACE, and the old value is gone: IDF pull request 18827."""
    size = 3 * PAGE
    store = mount(flash, size)
    for n in range(ENTRIES - 1):
        put(store, f"k{n}", n)
    put(store, "b", blob(200))
    with pytest.raises(NvsError, match="NOT_ENOUGH_SPACE"):
        put(store, "b", blob(5000, 1))
    ns = store.namespace("t")
    assert error_of(lambda: store.get_blob(ns, "b")) == (1, "ESP_FAIL")
    assert get(store, "b", bytes) == LOST
