"""How far an NVS partition is used, and by whom: bytes in, facts out.

Source: ESP-IDF nvs_flash/src/nvs_page.cpp, nvs_types.hpp. A page is a sector: 32 bytes of header, 32 of entry states, two
bits each, then 126 entries of 32 bytes. An entry of namespace 0 names a namespace.
"""

from collections.abc import Iterator

_PAGE, _ENTRY, _ENTRIES = 0x1000, 32, 126
_STATES_AT, _ENTRIES_AT = 32, 64
_WRITTEN = 0b10
_U8 = 0x01  # the type of an entry that names a namespace
_OF_THE_SYSTEM = {"phy", "nvs.net80211", "dhcp_state", "misc", "wifi", "bt_config.conf"}  # what ESP-IDF makes anew


def used(data: bytes) -> int:
    """Bytes up to the end of the last page that is not blank."""
    return -(-len(data.rstrip(b"\xff")) // _PAGE) * _PAGE


def full(data: bytes) -> bool:
    """Whether all pages up to the last one in use are in use."""
    return all(data[at : at + _PAGE].strip(b"\xff") for at in range(0, used(data), _PAGE))


def owners(data: bytes) -> frozenset[str]:
    """The namespaces in it that programs made."""
    names = {name for at in range(0, len(data), _PAGE) for name in _namespaces(data[at : at + _PAGE])}
    return frozenset(names - _OF_THE_SYSTEM)


def _namespaces(page: bytes) -> Iterator[str]:
    number = 0
    while number < _ENTRIES and len(page) == _PAGE:
        entry = page[_ENTRIES_AT + number * _ENTRY :][:_ENTRY]
        written = page[_STATES_AT + number // 4] >> number % 4 * 2 & 0b11 == _WRITTEN
        if written and (entry[0], entry[1]) == (0, _U8):
            yield entry[8:24].split(b"\0")[0].decode("latin-1")
        number += max(entry[2], 1) if written else 1  # what a long value fills is no entry of its own
