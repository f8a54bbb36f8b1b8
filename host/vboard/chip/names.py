"""Which names the port's modules have, by MicroPython version and chip.

The shims have every name of every version; what a firmware lacks is taken away at start-up.
Sources: MicroPython ports/esp32 (modmachine.c, modesp32.c, network_wlan.c, modnetwork_globals.h, mpconfigport.h,
boards/ESP32_GENERIC*) of the tags v1.23.0 to v1.29.0-preview, and what real boards answered (facts 10.13).
"""

from collections.abc import Iterator
from dataclasses import dataclass

_PULSE_COUNTERS = ("esp32", "esp32s2", "esp32s3", "esp32c6")
_TOUCH = ("esp32", "esp32s2", "esp32s3")
_XTENSA = _TOUCH
_NOT_ESP32 = ("esp32s2", "esp32s3", "esp32c3", "esp32c6")
_NOT_C6 = ("esp32", "esp32s2", "esp32s3", "esp32c3")


@dataclass(frozen=True, slots=True)
class _Row:
    """`names` of `module` exist from version `since` up to before `until`, on `chips` (none named: on all)."""

    module: str
    names: str
    since: tuple[int, int] = (0, 0)
    until: tuple[int, int] = (99, 0)
    chips: tuple[str, ...] = ()

    def there(self, chip: str, version: tuple[int, ...]) -> bool:
        return self.since <= version < self.until and (not self.chips or chip in self.chips)


# A name in several rows is there if one of them says so; a name in none always is.
_TABLE = (
    _Row("machine", "DAC", chips=("esp32", "esp32s2")),
    _Row("machine", "TouchPad", chips=_TOUCH),
    _Row("machine", "bootloader", chips=("esp32s2", "esp32s3", "esp32c3")),
    _Row("machine", "SDCard", chips=("esp32", "esp32s3")),
    _Row("machine", "SDCard", since=(1, 25)),
    _Row("machine", "I2S", chips=_XTENSA),
    _Row("machine", "I2S", since=(1, 25), chips=("esp32c3",)),
    _Row("machine", "I2S", since=(1, 27)),
    _Row("machine", "_machine const", since=(1, 26)),
    _Row("machine", "Counter Encoder", since=(1, 26), chips=_PULSE_COUNTERS),
    _Row("machine", "I2CTarget", since=(1, 26), chips=("esp32s2", "esp32s3", "esp32c3")),
    _Row("machine", "I2CTarget", since=(1, 27), chips=_NOT_ESP32),
    _Row("esp32", "PCNT", since=(1, 26), chips=_PULSE_COUNTERS),
    _Row("esp32", "ULP", chips=_XTENSA),
    _Row("esp32", "raw_temperature", chips=("esp32",)),
    _Row("esp32", "mcu_temperature", chips=_NOT_ESP32),
    _Row("esp32", "gpio_deep_sleep_hold", chips=_NOT_C6),
    _Row("esp32", "wake_on_touch wake_on_ext0 wake_on_ext1 wake_on_ulp", until=(1, 26)),
    _Row("esp32", "wake_on_touch wake_on_ext0 wake_on_ulp", chips=_XTENSA),
    _Row("esp32", "wake_on_ext1", chips=(*_XTENSA, "esp32c6")),
    _Row("esp32", "wake_on_gpio", since=(1, 27)),
    _Row("tls", "PROTOCOL_DTLS_CLIENT PROTOCOL_DTLS_SERVER", since=(1, 25)),
    _Row("WLAN", "ipconfig", since=(1, 24)),
    _Row("WLAN", "SEC_WPA3_ENT_192 SEC_WPA3_EXT_PSK SEC_WPA3_EXT_PSK_MIXED_MODE SEC_DPP", since=(1, 25)),
    _Row("WLAN", "SEC_WPA3_ENT SEC_WPA2_WPA3_ENT", since=(1, 26)),
    _Row("WLAN", "SEC_WPA_ENT PROTOCOL_DEFAULT PROTOCOL_LR", since=(1, 27)),
    _Row("network", "ipconfig AUTH_WPA3_ENT_192 AUTH_WPA3_EXT_PSK AUTH_WPA3_EXT_PSK_MIXED_MODE", since=(1, 24)),
    _Row(
        "network",
        "STAT_NO_AP_FOUND_W_COMPATIBLE_SECURITY STAT_NO_AP_FOUND_IN_AUTHMODE_THRESHOLD"
        " STAT_NO_AP_FOUND_IN_RSSI_THRESHOLD",
        since=(1, 24),
    ),
    _Row("network", "STAT_CONNECT_FAIL", since=(1, 25)),
    _Row("network", "PHY_LAN8670 PHY_GENERIC", since=(1, 26), chips=("esp32",)),
)


def absent(chip: str, version: tuple[int, ...]) -> Iterator[tuple[str, str]]:
    """(module, name) of all that a firmware of `version` for `chip` lacks."""
    there = {(row.module, name) for row in _TABLE if row.there(chip, version) for name in row.names.split()}
    for key in dict.fromkeys((row.module, name) for row in _TABLE for name in row.names.split()):
        if key not in there:
            yield key
