"""The passphrase of an encrypted key: from a file, from the environment, else asked for at the terminal, unseen.

It is never an argument, which other users of this machine could read, and never part of a message.
"""

import os
import sys
from pathlib import Path

import click

from otactl.errors import UsageError
from otactl.files import read_named

VARIABLE = "OTACTL_KEY_PASSPHRASE"
_MOST = 1000  # bytes; OpenSSL takes no more than 1,023


class _Source:
    """Where passphrases come from in this process, and those that were asked for already."""

    file: Path | None = None
    asked: dict[Path, bytes]


_source = _Source()
_source.asked = {}


def use_file(path: Path | None) -> None:
    """Take passphrases from the first line of that file from here on; None: from no file, and none is remembered."""
    _source.file, _source.asked = path, {}


def of(key: Path) -> bytes:
    """The passphrase that the key in that file has. A terminal is asked once for each file.

    Raises UsageError where nobody can be asked, KeyboardInterrupt.
    """
    given = _given()
    if given is not None:
        return given
    if key not in _source.asked:
        _source.asked[key] = _checked(_ask(f"passphrase of {key}", key, again=False), f"the passphrase of {key}")
    return _source.asked[key]


def wrong(key: Path) -> UsageError:
    """The error for a passphrase that did not open `key`, which is forgotten."""
    _source.asked.pop(key, None)
    return UsageError(f"wrong passphrase for {key}: nothing was signed or changed; try again")


def new(key: Path | str, file: Path | None = None) -> bytes:
    """A passphrase for a key to be written to `key`: from `file`, else as `of` has it; a terminal is asked twice.

    Raises UsageError, KeyboardInterrupt.
    """
    given = _line(file) if file else _given()
    if given is not None:
        return given
    return another(key)


def another(key: Path | str) -> bytes:
    """The same, from the terminal only: for a key that has a passphrase, which the other places hold."""
    return _checked(_ask(f"new passphrase of {key}", key, again=True), f"the passphrase of {key}")


def _given() -> bytes | None:
    if _source.file is not None:
        return _line(_source.file)
    if VARIABLE in os.environ:
        return _checked(os.environ[VARIABLE], VARIABLE)
    return None


def _line(file: Path) -> bytes:
    text = read_named(file).decode(errors="surrogateescape")
    return _checked(text.splitlines()[0] if text else "", str(file))


def _checked(text: str, where: str) -> bytes:
    data = text.encode(errors="surrogateescape")
    if not 0 < len(data) <= _MOST:
        raise UsageError(f"{where} is empty or too long: a passphrase has 1 to {_MOST} bytes")
    return data


def _ask(what: str, key: Path | str, *, again: bool) -> str:
    if not sys.stdin.isatty():
        raise UsageError(
            f"{key} needs a passphrase, and here is no terminal to ask at: put it into {VARIABLE}, or name a file with "
            "--passphrase-file"
        )
    try:
        given: str = click.prompt(what, hide_input=True, confirmation_prompt=again, err=True)
    except click.Abort:
        raise KeyboardInterrupt from None
    return given
