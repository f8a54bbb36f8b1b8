"""The console of a board under test: what the raw REPL says of its own is no line, and what is waited for is new."""

import threading
from collections.abc import Iterator

import pytest
from otactl.errors import BoardError
from otactl_pytest import reboots
from otactl_pytest.console import ConsoleLog

BANNER = b"ets Jun  8 2016\r\n\r\nrst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n"


@pytest.fixture
def console() -> Iterator[ConsoleLog]:
    return ConsoleLog()


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize(
    ("heard", "text"),
    [
        (b"hello\r\nworld", "hello\nworld"),
        (b">R\x01\x80\x00\x01\x01\x04hello\r\n\x04\x04>", "hello\n"),
        (b"raw REPL; CTRL-B to exit\r\n>OK\r\nMPY: soft reboot\r\n", "\n\nMPY: soft reboot\n"),
        (b">R\x01\x80\x00\x01\x04> quoted\r\n\x04\x04>", "> quoted\n"),
        (b">R\x01\x80\x00\x01\x04\x04Traceback:\r\nValueError: 5\r\n\x04>", "Traceback:\nValueError: 5\n"),
        (">>> gr\xfc\xdfe\r\n".encode(), ">>> gr\xfc\xdfe\n"),
        (b"\xff\xfe noise\r\n", "\ufffd\ufffd noise\n"),
    ],
    ids=["plain", "of a call", "soft reset", "like a prompt", "of an error", "no ascii", "no utf-8"],
)
def test_text_is_what_the_program_said(console: ConsoleLog, heard: bytes, text: str, size: int) -> None:
    for at in range(0, len(heard), size):
        console.hear(heard[at : at + size])
    assert console.text.replace("\n\n", "\n") == text.replace("\n\n", "\n")


def test_lines_have_times_and_notes_are_told_apart(console: ConsoleLog) -> None:
    console.note("hard reset")
    console.hear(b"hello\r\n")
    first, second = str(console).splitlines()
    assert first.endswith(" --- hard reset")
    assert second.endswith(" hello")
    assert all(len(line.split()[0]) == len("12:34:56.789") for line in (first, second))
    assert "hard reset" not in console.text


def test_what_was_said_before_the_mark_is_not_waited_for(console: ConsoleLog) -> None:
    console.hear(b"ready\r\nhalf a li")
    console.mark()
    console.hear(b"ne\r\nmore\r\n")
    assert console.unwaited == "ne\nmore\n"
    with pytest.raises(BoardError, match=r"did not say 'ready' within 0 s; its last line was 'more'"):
        console.wait("ready", 0)


def test_each_wait_goes_on_where_the_last_ended(console: ConsoleLog) -> None:
    console.hear(b"n=1\r\nn=2\r\nn=3")
    assert [console.wait(r"n=(\d)", 0)[1] for _ in range(3)] == ["1", "2", "3"]
    console.hear(b"n=4\r\n")
    assert console.unwaited == "n=4\n"


def test_a_wait_can_begin_at_a_place_in_the_text(console: ConsoleLog) -> None:
    console.hear(b"n=1\r\n")
    at = len(console.text)
    console.hear(b"n=2\r\n")
    console.mark()
    assert console.wait(r"n=(\d)", 0, since=at)[1] == "2"


def test_a_wait_ends_with_the_line_that_another_thread_hears(console: ConsoleLog) -> None:
    threading.Timer(0.05, console.hear, [b"ready\r\n"]).start()
    assert console.wait("ready", 20)


def test_what_the_plugin_asks_is_no_line(console: ConsoleLog) -> None:
    with console.hushed(), console.hushed():
        console.hear(b"a file in base64\r\n")
    console.hear(b"hello\r\n")
    assert console.text == "hello\n"


def test_what_the_plugin_asks_is_told_where_it_goes_wrong(console: ConsoleLog) -> None:
    with pytest.raises(ValueError), console.hushed():
        console.hear(b"Guru Meditation\r\n")
        raise ValueError
    assert console.text == "Guru Meditation\n"


def test_empty_lines_are_text_but_not_shown(console: ConsoleLog) -> None:
    out: list[str] = []
    console.also_to(out.append)
    console.hear(b"one\r\n\r\ntwo\r\n")
    assert console.text == "one\n\ntwo\n"
    assert len(str(console).splitlines()) == len(out) == 2


def test_lines_go_out_as_they_come_with_a_crash_in_words(console: ConsoleLog) -> None:
    out: list[str] = []
    console.also_to(out.append)
    console.hear(b"E task_wdt: Task watchdog got triggered. Aborting.\r\n")
    console.no_more_to(out.append)
    console.hear(b"more\r\n")
    assert len(out) == 2
    assert "the watchdog was not fed" in out[1]


def test_a_line_without_end_does_not_fill_memory(console: ConsoleLog) -> None:
    console.hear(b"x" * 10_000)
    assert [len(line.text) for line in console.lines] == [4096, 4096]


@pytest.mark.parametrize(
    ("said", "cause"),
    [  # the ROM's lines as real boards printed them
        (b"rst:0x1 (POWERON_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", "power"),
        (b"rst:0x1 (POWERON),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n", "power"),
        (BANNER, "software"),
        (b"rst:0xc (RTC_SW_CPU_RST),boot:0xd (SPI_FAST_FLASH_BOOT)\r\n", "software"),
        (b"rst:0x5 (DEEPSLEEP_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", "deepsleep"),
        (b"rst:0x5 (DSLEEP),boot:0x8 (SPI_FAST_FLASH_BOOT)\r\n", "deepsleep"),
        (b"rst:0x10 (RTCWDT_RTC_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", "watchdog"),
        (b"rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", "watchdog"),
        (b"rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)\r\n", "brownout"),
        (b"rst:0x15 (USB_UART_CHIP_RESET),boot:0xc (SPI_FAST_FLASH_BOOT)\r\n", "usb"),
        (b"E (25) task_wdt: Task watchdog got triggered. The following...\r\n" + BANNER, "watchdog"),
        (b"Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception...\r\n" + BANNER, "panic"),
        (b"Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0).\r\n" + BANNER, "watchdog"),
        (b"rst:0x42 (NEVER_SEEN),boot:0x13\r\n", ""),
    ],
)
def test_the_cause_of_a_reboot(console: ConsoleLog, said: bytes, cause: str) -> None:
    console.hear(b"app: works\r\n" + said)
    told = reboots.next_one(console, 0)
    assert told
    assert told.cause == cause
    assert cause in (*reboots.CAUSES, "")


def test_a_crash_counts_for_the_reboot_after_it_only(console: ConsoleLog) -> None:
    console.hear(b"Guru Meditation Error: Core  1 panic'ed (LoadProhibited).\r\n" + BANNER + b"up\r\n" + BANNER)
    causes = []
    while told := reboots.next_one(console, 0):
        causes.append(told.cause)
    assert causes == ["panic", "software"]


def test_a_reboot_is_met_once_whatever_was_waited_for_since(console: ConsoleLog) -> None:
    console.hear(BANNER + b"ready\r\n")
    console.wait("ready", 0)
    assert reboots.next_one(console, 0, take=False)
    assert reboots.next_one(console, 0)
    assert reboots.next_one(console, 0) is None


def test_a_reboot_before_the_mark_is_not_met(console: ConsoleLog) -> None:
    console.hear(BANNER)
    console.mark()
    assert reboots.next_one(console, 0) is None
