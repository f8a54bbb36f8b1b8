"""Dates as text and in certificates, in the board's seconds: since 2000 on an ESP32."""

import time

EPOCH = time.mktime((2000, 1, 1, 0, 0, 0, 0, 0))
_MONTHS = "JanFebMarAprMayJunJulAugSepOctNovDec"
_UTC_TIMES = b"\x30\x1e\x17\x0d"  # DER: SEQUENCE of two UTCTime, YYMMDDhhmmssZ each


def parse(text: "str | None") -> "int | None":
    """An HTTP date, RFC 9110 5.6.7 (Tue, 24 Nov 2026 15:46:00 GMT), or one of RFC 3339 (2026-11-24T15:46:00Z); None for
    anything else."""
    if text is None or len(text) < 19:
        return None
    try:
        if text[10] == "T":
            return _seconds(text[:4], text[5:7], text[8:10], text[11:13], text[14:16], text[17:19])
        month = str(_MONTHS.index(text[8:11]) // 3 + 1)
        return _seconds(text[12:16], month, text[5:7], text[17:19], text[20:22], text[23:25])
    except ValueError:
        return None


def validity(der: "bytes | None") -> "tuple[int | None, int | None]":
    """From when to when a certificate is good: the first two dates in it that stand together (RFC 5280, 4.1.2.5); None
    for each that is not told so, as one after 2049."""
    at = der.find(_UTC_TIMES) if der else -1
    if at < 0:
        return None, None
    return _utc_time(der[at + 4 : at + 17]), _utc_time(der[at + 19 : at + 32])  # type: ignore[index]


def _utc_time(raw: bytes) -> "int | None":
    try:
        text = "20" + str(raw, "utf-8")  # no certificate of 1950 to 1999 is still good
        return _seconds(text[:4], text[4:6], text[6:8], text[8:10], text[10:12], text[12:14])
    except ValueError:
        return None


def _seconds(*parts: str) -> int:
    year, month, day, hour, minute, second = [int(part) for part in parts if part.isdigit()]  # "+1", "-1", " 1": none
    if not (2000 <= year < 2100 and 0 < month < 13 and 0 < day < 32 and hour < 24 and minute < 60 and second < 61):
        raise ValueError
    return time.mktime((year, month, day, hour, minute, second, 0, 0))
