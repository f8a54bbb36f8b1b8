"""What a push offers a board: which release, its envelope, and the image that the board asks for."""

import pytest
from otactl.errors import ReleaseError, UsageError
from otactl.release import channels, envelope, offer
from otactl.release.publish import publish
from otactl.workspace import keys
from otactl.workspace.workspace import Workspace

URL = "https://127.0.0.1:8443/"


def payload(place: Workspace, offered: offer.Offer) -> dict:
    return envelope.unseal(offered.envelope, keys.trusted(place.trusted))


def test_file_that_is_no_release_yet_is_made_one_that_no_channel_names(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file(seed=0)], "1.0.0")
    offered = offer.of_file(place, firmware_file(seed=1))
    assert offered.version == "push-2"
    assert payload(place, offered)["sequence"] == 2
    assert offered.image(URL + "push-2/esp32.bin") == firmware_file(seed=1).read_bytes()
    assert (channels.current(place) or {})["version"] == "1.0.0"
    assert [(one.version, one.channels) for one in channels.releases(place)] == [
        ("1.0.0", {"stable": 1}),
        ("push-2", {}),
    ]
    assert publish(place, [firmware_file(seed=2)], "1.1.0").sequence == 3  # boards that were pushed to take it


def test_same_file_is_the_same_release_while_it_is_the_newest(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file(seed=0)], "1.0.0")
    assert offer.of_file(place, firmware_file(seed=0)).envelope == place.channel_file.read_bytes()
    publish(place, [firmware_file(seed=1)], "1.1.0")
    again = offer.of_file(place, firmware_file(seed=0))
    assert (again.version, payload(place, again)["sequence"]) == ("push-3", 3)  # sequence 1 would be older
    assert offer.of_file(place, firmware_file(seed=0)) == again


def test_same_file_under_another_name_is_another_release(place: Workspace, firmware_file) -> None:
    first = offer.of_file(place, firmware_file(), "1.0.0")
    second = offer.of_file(place, firmware_file(), "1.0.1")
    assert (first.version, second.version) == ("1.0.0", "1.0.1")
    assert payload(place, second)["sequence"] == 2
    with pytest.raises(ReleaseError, match="published already"):
        offer.of_file(place, firmware_file(), "1.0.0")


def test_release_that_a_channel_went_back_to_is_offered_as_the_channel_has_it(place: Workspace, firmware_file) -> None:
    publish(place, [firmware_file(seed=0)], "1.0.0")
    publish(place, [firmware_file(seed=1)], "1.1.0")
    channels.withdraw(place, "1.1.0")
    for offered in (offer.newest(place), offer.of_file(place, firmware_file(seed=0))):
        assert (offered.version, payload(place, offered)["sequence"]) == ("1.0.0", 3)


def test_channel_that_names_nothing_offers_nothing(place: Workspace) -> None:
    with pytest.raises(UsageError, match="stable names no release yet"):
        offer.newest(place)


def test_pushed_release_can_be_given_to_a_channel(place: Workspace, firmware_file) -> None:
    offer.of_file(place, firmware_file())
    assert not channels.promote(place, "push-1", "stable").again
    assert (channels.current(place) or {})["version"] == "push-1"


@pytest.mark.parametrize("damage", [b"", b"something else"])
def test_image_that_is_gone_or_another_is_not_given(place: Workspace, firmware_file, damage: bytes) -> None:
    offered = offer.of_file(place, firmware_file())
    path = place.releases / "push-1" / "esp32.bin"
    path.write_bytes(damage) if damage else path.unlink()
    with pytest.raises(ReleaseError, match="is missing or not what push-1 was signed with"):
        offered.image(URL + "push-1/esp32.bin")
    with pytest.raises(ReleaseError, match="is missing or not what push-1 was signed with"):
        offered.image_for("esp32")


def test_file_that_the_release_does_not_have_is_not_given(place: Workspace, firmware_file) -> None:
    offered = offer.of_file(place, firmware_file())
    with pytest.raises(ReleaseError, match="no file of push-1"):
        offered.image(URL + "../keys/release.pem")
    assert offered.image_for("esp32s3") == b""
