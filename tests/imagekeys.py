"""Keys of app images, and images that they sign: made, signed and verified by espsecure's own functions."""

from io import BytesIO
from pathlib import Path

import espsecure
from esptool import FatalError
from otactl.release import silent

SECTOR = 4096


class ImageKey:
    """`path` of its PEM, `digest` as a board is told to trust it. `scheme`: rsa3072, ecdsa256, as espsecure has it."""

    def __init__(self, folder: Path, scheme: str, name: str = "a") -> None:
        silent.esptool()
        self.path = folder / f"{scheme}-{name}.pem"
        espsecure.generate_signing_key("2", scheme, str(self.path))
        written = folder / "digest.bin"
        with self.path.open("rb") as file:
            espsecure.digest_sbv2_public_key(file, str(written))
        self.digest = written.read_bytes().hex()

    def sign(self, data: bytes, *, append: bool = False) -> bytes:
        """`data`, filled up, with the sector behind it; `append`: a further block in the sector that it has."""
        given, signed = self.path.with_suffix(".in"), self.path.with_suffix(".out")
        given.write_bytes(data)
        with self.path.open("rb") as key, given.open("rb") as file:
            espsecure.sign_data("2", [key], str(signed), append, False, None, [], [], file)
        return signed.read_bytes()

    def verifies(self, data: bytes) -> bool:
        """espsecure's word."""
        with self.path.open("rb") as key:
            try:
                espsecure.verify_signature("2", False, None, key, BytesIO(data))
            except FatalError:
                return False
        return True
