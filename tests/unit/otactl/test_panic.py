"""What a console tells of a crash or a failed start, in a person's words."""

import re

import pytest
from otactl.board.panic import cause, explain
from vboard.chip import rom
from vboard.chip.panic import Abort, Panic

GURU = "Guru Meditation Error: Core  1 panic'ed (LoadProhibited). Exception was unhandled."
BACKTRACE = "Backtrace: 0x400d1234:0x3ffb1f50 0x400d5678:0x3ffb1f70 |<-CORRUPTED"
RESTART = "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (GURU, "crash on core 1, LoadProhibited: it read where no memory is, often as memory ran out"),
        (f"\x1b[0;31m{GURU}\r\n", "crash on core 1, LoadProhibited: it read"),
        (str(Panic("StoreProhibited")), "crash on core 0, StoreProhibited: it wrote where no memory is"),
        (
            "Guru Meditation Error: Core  0 panic'ed (Interrupt wdt timeout on CPU0). ",
            "crash on core 0, Interrupt wdt timeout on CPU0: interrupts were off for too long",
        ),
        (
            "Guru Meditation Error: Core  0 panic'ed (Load access fault). Exception was unhandled.",  # RISC-V
            "crash on core 0, Load access fault: it read where no memory is",
        ),
        (
            "Guru Meditation Error: Core  1 panic'ed (Unhandled debug exception (stack)). ",
            "crash on core 1, Unhandled debug exception (stack): its stack was too small",
        ),
        ("Guru Meditation Error: Core  0 panic'ed (Coprocessor exception).", "crash on core 0, Coprocessor exception"),
        ("Guru Meditation Error: the program crashed MicroPython", "crash: the program crashed MicroPython"),
        ("abort() was called at PC 0x400d1234 on core 0", "the firmware gave up, abort() at 0x400d1234"),
        (str(Abort("no memory")), "the firmware gave up, abort(): no memory"),
        (
            "assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))",
            "the firmware gave up, assert failed: xQueueSemaphoreTake queue.c:1709 (( pxQueue ))",
        ),
        ("ESP_ERROR_CHECK failed: esp_err_t 0x101 (ESP_ERR_NO_MEM) at 0x400d1", "ESP_ERR_NO_MEM"),
        ("***ERROR*** A stack overflow in task mp_task has been detected.", "the stack of task mp_task was too small"),
        ("NLR jump failed, val=0x3ffb1234", "an exception that MicroPython could not hand on"),
        ("E (41234) task_wdt: Task watchdog got triggered. The following tasks", "the watchdog was not fed"),
        ("Brownout detector was triggered", "the supply voltage fell too low"),
        ("invalid header: 0xffffffff", "no bootloader where the chip looks for one (0xffffffff): flash the board"),
        ("flash read err, 1000", "the chip cannot read its bootloader"),
        ("Invalid image block, can't boot.", "the chip cannot read its bootloader"),
        ("E (48) boot: No bootable app partitions in the partition table", "no slot holds an image that starts"),
        ("E (48) boot: load partition table error!", "the partition table is missing or damaged"),
        ("E (48) boot: OTA app partition slot 1 is not bootable", "OTA app partition slot 1: the image in it does not"),
        ("E (48) boot: Factory app partition is not bootable", "Factory app partition: the image in it does not start"),
        ("E (48) esp_image: Image hash failed - image is corrupt", "the image in a slot is damaged"),
        (BACKTRACE, "called from 0x400d1234 0x400d5678 (addr2line"),
        ("Backtrace:0x400d1234:0x3ffb1f50 0x400d5678:0x3ffb1f70", "called from 0x400d1234 0x400d5678 (addr2line"),
        (RESTART, "reset SW_CPU_RESET: the program restarted it, or a crash did"),
        ("ets Jul 29 2019 rst:0x1 (POWERON_RESET),boot:0x13 (SPI)", "reset POWERON_RESET: power came"),
        ("rst:0x10 (RTCWDT_RTC_RST),boot:0x8 (SPI)", "reset RTCWDT_RTC_RST: the watchdog over the start ended"),
        ("rst:0xf (RTCWDT_BROWN_OUT_RESET),boot:0x13 (SPI)", "the supply voltage fell too low"),
        ("rst:0x8 (TG1WDT_SYS_RESET),boot:0x13 (SPI)", "reset TG1WDT_SYS_RESET: a watchdog ended it: interrupts"),
        ("rst:0x3f (NEW_ONE),boot:0x13 (SPI)", "reset NEW_ONE: a reset of a kind that otactl does not know"),
        ("rst:0x1 (POWERON_RESET),boot:0x3 (DOWNLOAD_BOOT(UART0/UART1/SDIO_REI_REO_V2))", "waits for esptool"),
    ],
)
def test_a_line_is_put_in_a_persons_words(line: str, says: str) -> None:
    told = explain(line)
    assert told and says in told
    assert "\n" not in told


@pytest.mark.parametrize(
    "line",
    [
        "",
        "ota: trial 1.1.0 in ota_1",
        "MicroPython v1.26.1 on 2025-09-11; Generic ESP32 module with ESP32",
        "MPY: soft reboot",
        "backtrace of the day: none",
        "Backtrace: empty",
        "the first rst: of many",
        "panic'ed",
    ],
)
def test_any_other_line_tells_nothing(line: str) -> None:
    assert explain(line) is None


@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3", "esp32c3", "esp32c6"])
@pytest.mark.parametrize("reset", [rom.POWER, rom.RESTART, rom.SLEEP, rom.RTC_WDT, rom.INTERRUPT_WDT])
def test_every_reset_of_every_chip_is_known(chip: str, reset: str) -> None:
    told = [explain(line) for line in rom.banner(chip, reset).decode().splitlines() if line]
    assert told
    assert all(text and text.startswith("reset ") and "does not know" not in text for text in told)


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ([RESTART, GURU, "Core  1 register dump:", BACKTRACE, RESTART], "crash on core 1, LoadProhibited.*called from"),
        (["E boot: No bootable app partitions", RESTART], "no slot holds an image that starts"),
        (["E boot: OTA app partition slot 1 is not bootable", "abort() was called: x"], "the firmware gave up"),
        (["rst:0x8 (TG1WDT_SYS_RESET),boot", "rst:0x7 (TG0WDT_SYS_RESET),boot"], "TG1WDT_SYS_RESET"),
        (["assert failed: first", "assert failed: second"], "assert failed: first"),
    ],
)
def test_of_many_lines_the_one_that_says_most_is_the_cause(lines: list[str], says: str) -> None:
    told = cause(lines)
    assert told and re.search(says, told)


@pytest.mark.parametrize("lines", [[], ["ota: check wifi ok"], [RESTART], [BACKTRACE]])
def test_a_plain_restart_has_no_cause(lines: list[str]) -> None:
    assert cause(lines) is None


def test_a_long_backtrace_stays_a_line() -> None:
    told = explain("Backtrace:" + " 0x400d1234:0x3ffb1f50" * 40)
    assert told and len(told) < 200 and "…" in told
