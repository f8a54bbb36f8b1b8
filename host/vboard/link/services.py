"""What the network's DNS and time servers answer, packet by packet: no I/O. Sources: RFC 1035, RFC 5905."""

import secrets
import struct
import time

from vboard.link.network import Network

DNS_PORT, NTP_PORT = 53, 123
_SINCE_1900 = 2208988800  # from 1900 to 1970, in seconds
_A, _IN = 1, 1
_ANSWER, _RECURSION, _NO_NAME = 0x8000, 0x0180, 3
_TTL_S = 60


def dns(network: Network, query: bytes) -> bytes | None:
    """The answer to a query for the addresses of one name; None for silence."""
    if network.dns == "silent" or len(query) < 17:
        return None
    if network.dns == "garbage":
        return secrets.token_bytes(24)
    name, end = _name(query, 12)
    kind, of = struct.unpack_from("!HH", query, end)
    found = network.addresses(name) if network.dns == "answers" else []
    answers = found if (kind, of) == (_A, _IN) else []
    flags = _ANSWER | _RECURSION | (0 if found else _NO_NAME)
    head = struct.pack("!HHHHHH", int.from_bytes(query[:2]), flags, 1, len(answers), 0, 0)
    records = (
        struct.pack("!HHHIH", 0xC00C, _A, _IN, _TTL_S, 4) + bytes(map(int, address.split("."))) for address in answers
    )
    return head + query[12 : end + 4] + b"".join(records)


def _name(packet: bytes, at: int) -> tuple[str, int]:
    """A name that is not compressed, and where it ends."""
    labels = []
    while packet[at]:
        labels.append(packet[at + 1 : at + 1 + packet[at]].decode("ascii", "replace"))
        at += 1 + packet[at]
    return ".".join(labels).lower(), at + 1


def ntp(network: Network, query: bytes) -> bytes | None:
    """A time server's answer (mode 4, stratum 2); None for silence."""
    if not network.ntp or len(query) < 48:
        return None
    if network.ntp_reply == "garbage":
        return secrets.token_bytes(48)
    now = time.time() + network.ntp_off_s + _SINCE_1900
    stamp = struct.pack("!II", int(now) & 0xFFFFFFFF, int(now % 1 * (1 << 32)))
    version = query[0] & 0x38
    head = struct.pack("!BBbbII4s", version | 4, 2, 6, -20, 0, 0, b"VBRD")
    packet = head + stamp + query[40:48] + stamp + stamp
    return packet[:20] if network.ntp_reply == "short" else packet
