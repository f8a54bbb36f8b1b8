"""What a board asks of an app image's own signature, beside the release's. The code that verifies one comes in when the
download is over, and TLS has given its memory back."""

from ..errors import fits, require


class Demand:
    """What a board's configuration asks of a release's target. `wanted`: its entry `image_signature`.

    P1: what the signed release says of its image is refused here, before a byte of it is asked for. Raises OtaError
    bad-release, image-key."""

    def __init__(self, wanted: dict, target: dict) -> None:
        named = target.get("signed_by") or []
        good = fits(named, (list,), 0, 3) and all(fits(name, (str,), 64, 64) for name in named)
        require(good, "bad-release", "signed_by")
        if named or wanted["required"]:
            known = any(name.lower() in wanted["keys"] for name in named)
            require(known, "image-key", named[0][:16] if named else "none")
        self._keys = wanted["keys"] if named and wanted["verify"] == "board" else None

    def verify(self, slot, size: int, sha256: str, view: memoryview):
        """Steps until the image in `slot` has shown a trusted key's signature, as signed.verify()."""
        if self._keys:
            from . import signed

            yield from signed.verify(slot, size, sha256, self._keys, view)
