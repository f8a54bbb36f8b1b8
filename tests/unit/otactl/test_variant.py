"""The same firmware as another image."""

import pytest
from otactl.errors import ReleaseError
from otactl.release import firmware
from otactl.release.variant import spoiled, variant
from vboard.chips import CHIPS
from vboard.flash import appimage, images


@pytest.mark.parametrize("chip", ["esp32", "esp32s3", "esp32c6"])
@pytest.mark.parametrize("append_hash", [True, False])
def test_a_variant_is_sound_and_another_image(chip: str, append_hash: bool) -> None:
    app = images.build_app(chip, size=20_000, append_hash=append_hash)
    made = {variant(app, number) for number in (1, 2, 0xFFFFFFFF)}
    assert len(made) == 3 and app not in made
    for one in made:
        info = appimage.verify(one, 0x10000, len(one), CHIPS[chip], app_side=False)
        before = appimage.verify(app, 0x10000, len(app), CHIPS[chip], app_side=False)
        assert info.desc and before.desc
        assert (info.desc.time, info.desc.date) == (before.desc.time, before.desc.date)  # what C reads is as it was
        assert sum(a != b for a, b in zip(one, app, strict=True)) <= 4 + 1 + 32
    assert variant(app, 0) == app
    assert variant(variant(app, 7), 0) == app


def test_what_follows_the_image_stays() -> None:
    app = images.with_behaviour(images.build_app("esp32", size=20_000), panic=True)
    made = variant(app, 3)
    assert images.behaviour_of(appimage.reader(made), appimage.measure(made)) == {"panic": True}


SOUND = images.build_app("esp32", size=20_000)
REFUSED = {
    "damaged": (spoiled(SOUND, 9000), "damaged"),
    "no image": (b"hello" * 1000, "damaged|does not know"),
    "signed by itself": (SOUND.ljust(-(-len(SOUND) // 4096) * 4096, b"\xff") + b"\xe7\x02" + bytes(1214), "signed"),
    "of a chip that nobody knows": (SOUND[:12] + b"\x99\x00" + SOUND[14:], "does not know"),
}


@pytest.mark.parametrize(("app", "why"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_variant_is_refused(app: bytes, why: str) -> None:
    with pytest.raises(ReleaseError, match=why):
        variant(app, 1)


def test_real_firmware_has_variants(real_firmware: "object") -> None:
    for path in sorted(real_firmware.glob("*.bin"))[:2]:  # type: ignore[attr-defined]
        found = firmware.load(path)
        made = variant(found.app, 5)
        assert made != found.app
        assert firmware.check(made, found.chip, path.name) == firmware.check(found.app, found.chip, path.name)
