"""What the ROM prints first after a reset: each chip family has words of its own.

Sources: ESP-IDF esp_rom/<chip>/include/rom/rtc.h (numbers), boot logs of each chip (words), those of ESP-IDF's
docs/en/security/<chip>_log.inc among them; facts 10.2, 10.12.
"""

POWER, RESTART, SLEEP, RTC_WDT, INTERRUPT_WDT = "power", "restart", "sleep", "rtc-wdt", "interrupt-wdt"
BOOTLOADER, TIMER_WDT = "bootloader", "timer-wdt"
USB = "usb"  # a chip's own USB pulls its reset
EXTERNAL, SOFT_WDT, EXCEPTION = "external", "soft-wdt", "exception"  # that only an ESP8266 tells apart (esp8266.py)

_NEWER = (
    "POWERON",
    "RTC_SW_CPU_RST",
    "DSLEEP",
    "RTCWDT_RTC_RST",
    "TG1WDT_SYS_RST",
    "TG0WDT_SYS_RST",
    "RTC_SW_SYS_RST",
    "USB_UART_CHIP_RESET",
)
_WORDS = {
    "esp32": (
        "POWERON_RESET",
        "SW_CPU_RESET",
        "DEEPSLEEP_RESET",
        "RTCWDT_RTC_RESET",
        "TG1WDT_SYS_RESET",
        "TG0WDT_SYS_RESET",
        "SW_RESET",
    ),
    "esp32s2": _NEWER,
    "esp32s3": _NEWER,
    "esp32c3": _NEWER,
    "esp32c6": (
        "POWERON",
        "SW_CPU",
        "DSLEEP",
        "LP_WDT_SYS",
        "TG1_WDT_HPSYS",
        "TG0_WDT_HPSYS",
        "LP_SW_HPSYS",
        "USB_UART_HPSYS",
    ),
}
_NUMBERS = (0x1, 0xC, 0x5, 0x10, 0x8, 0x7, 0x3, 0x15)
_RESETS = {  # which of these a reset shows, one line each
    POWER: (0,),
    RESTART: (1,),  # by the program, by a panic, and by the task watchdog, which panics
    SLEEP: (2,),
    RTC_WDT: (3,),
    INTERRUPT_WDT: (4, 5),  # nobody could answer its interrupt: it resets the chip, and the other one follows
    TIMER_WDT: (5,),
    USB: (7,),  # not of an ESP32
    BOOTLOADER: (6,),  # by the second-stage bootloader, which has nothing to start
}
_STRAPPING = {"esp32": 0x13, "esp32s2": 0x8, "esp32s3": 0x8, "esp32c3": 0xC, "esp32c6": 0xC}


def download_banner(chip_name: str, boot: str) -> bytes:
    """The lines of a chip that comes up in its loader. `boot`: the strapping and its words."""
    return f"\r\nrst:0x1 ({_WORDS[chip_name][0]}),{boot}\r\nwaiting for download\r\n".encode()


def banner(chip_name: str, reset: str) -> bytes:
    """The lines for a reset of the kind `reset`."""
    boot = f"boot:0x{_STRAPPING[chip_name]:x} (SPI_FAST_FLASH_BOOT)"
    words = _WORDS[chip_name]
    return b"".join(f"\r\nrst:0x{_NUMBERS[n]:x} ({words[n]}),{boot}\r\n".encode() for n in _RESETS[reset])


def stuck(chip_name: str) -> str:
    """The reset that ends the ROM's wait where it has no bootloader to start, by the watchdog that it left armed."""
    return RTC_WDT if chip_name == "esp32" else TIMER_WDT
