"""What a person is told who is to sign something with a key that lies elsewhere."""

from pathlib import Path
from shlex import quote

from otactl.cli import display
from otactl.words import counted
from otactl.workspace.workspace import Workspace

_PSS = "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32"


def release(place: Workspace, version: str, waits: int, usual: str) -> None:
    """How a release that waits gets its signatures. `usual`: the channel of otactl.toml."""
    from otactl.release import pending

    display.show(f"  no channel names it yet: it waits for {_signatures(waits)}")
    commands(place.releases / version / pending.TO_SIGN, f"{version}.sig")
    channel = "" if place.channel == usual else f" --channel {place.channel}"
    display.follow_up(f"attach-signature {version} {version}.sig{channel}")


def commands(to_sign: Path, out: str) -> None:
    """The lines that sign the bytes of a file: with openssl, and with a key in an HSM."""
    given = quote(str(display.short(to_sign)))
    display.show(f"  RSA-PSS, SHA-256, a salt of 32 bytes, over {given}:")
    display.type_this(f"openssl dgst -sha256 -sign KEY.pem {_PSS} -out {out} {given}")
    display.type_this(
        f"pkcs11-tool --module LIBRARY --login --id ID --sign --mechanism SHA256-RSA-PKCS-PSS --salt-len 32 "
        f"--input-file {given} --output-file {out}"
    )


def _signatures(number: int) -> str:
    return counted(number, "signature")
