"""The releases of one run: a workspace that is thrown away, sound releases, and such as no `publish` would make."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from otactl.release import channels, envelope, publish
from otactl.release.sequence import next_sequence, take_sequence
from otactl.workspace import keys
from otactl.workspace.create import create
from otactl.workspace.workspace import Workspace

PRODUCT = "otactl hil"


@dataclass(frozen=True, slots=True)
class Release:
    """What the channel names. `image`: what its file holds; `path`: of that file, below releases/."""

    version: str
    sequence: int
    image: bytes
    path: str


class Releases:
    """Each test has a channel of its own, so that no board finds in it what another test has published."""

    def __init__(self, folder: Path, address: str, chip: str) -> None:
        """`address`: what boards call this machine; `chip`: of the images. Raises UsageError."""
        self.workspace = create(folder, product=PRODUCT, names=[address])
        self.chip = chip
        self._folder = folder
        self._channels = 0

    def told(self, url: str, config: dict[str, Any]) -> Workspace:
        """The workspace as boards are to be told of it."""
        self.workspace = replace(self.workspace, url=url, board=config)
        return self.workspace

    def new_channel(self) -> Workspace:
        self._channels += 1
        self.workspace = self.workspace.on(f"t{self._channels}")
        return self.workspace

    def publish(self, image: bytes) -> Release:
        """As `otactl publish` does it, under the next sequence. Raises ReleaseError."""
        number = next_sequence(self.workspace)
        file = self._folder / "image.bin"
        file.write_bytes(image)
        done = publish.publish(self.workspace, [file], f"1.{number}.0")
        return Release(done.version, done.sequence, image, done.targets[0]["url"])

    def home(self, size: int, digest: str) -> Release:
        """The release that the board runs already, known by size and SHA-256: nothing is there to download."""
        return self._sealed(b"", {"size": size, "sha256": digest}, {}, [keys.load(self.workspace.key_file)])

    def forge(
        self,
        image: bytes,
        *,
        target: dict[str, Any] | None = None,
        payload: dict[str, Any] | None = None,
        signers: Sequence[rsa.RSAPrivateKey] = (),
        served: bytes | None = None,
    ) -> Release:
        """A release of `image` with other facts in its target or payload, other signers, or another file than is signed."""
        facts = {"size": len(image), "sha256": sha256(image).hexdigest()} | (target or {})
        signed_by = signers or [keys.load(self.workspace.key_file)]
        return self._sealed(image if served is None else served, facts, payload or {}, signed_by)

    def spoil_signature(self) -> None:
        """The channel's envelope, with a signature that is one byte off."""
        import json
        from base64 import b64decode, b64encode

        sealed = json.loads(self.workspace.channel_file.read_bytes())
        raw = bytearray(b64decode(sealed["signatures"][0]["sig"]))
        raw[100] ^= 1
        sealed["signatures"][0]["sig"] = b64encode(raw).decode()
        self.workspace.channel_file.write_bytes(json.dumps(sealed).encode())

    def _sealed(
        self, file: bytes, target: dict[str, Any], payload: dict[str, Any], signers: Sequence[rsa.RSAPrivateKey]
    ) -> Release:
        number = next_sequence(self.workspace)
        take_sequence(self.workspace, number)
        path = f"forged-{number}/{self.chip}.bin"
        facts: dict[str, Any] = {
            "schema": 1,
            "product": self.workspace.product,
            "version": f"1.{number}.0",
            "sequence": number,
            "security_version": 0,
            "published": channels.now(),
            "targets": [{"kind": "firmware", "chip": self.chip, "url": path} | target],
        } | payload
        place = self.workspace.releases / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(file)
        self.workspace.channel_file.write_bytes(envelope.seal(facts, list(signers)))
        return Release(str(facts["version"]), int(facts["sequence"]), file, path)
