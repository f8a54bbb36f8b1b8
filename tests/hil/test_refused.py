"""What a board must not take: nothing is switched, and where it can be known early nothing is erased either."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from otactl.hil.stage import Stage
from otactl.hil.verdict import ends
from otactl.release.variant import spoiled

_CHIP_AT = 12  # the chip's number, in an image's header


def _by_a_stranger(stage: Stage) -> None:
    stage.releases.forge(stage.new_image(), signers=[rsa.generate_private_key(65537, 3072)])


def _signature_spoiled(stage: Stage) -> None:
    stage.publish()
    stage.releases.spoil_signature()


def _of_another_product(stage: Stage) -> None:
    stage.releases.forge(stage.new_image(), payload={"product": "toaster"})


def _for_another_chip(stage: Stage) -> None:
    stage.releases.forge(stage.new_image(), target={"chip": "esp8266"})


def _larger_than_the_slot(stage: Stage) -> None:
    stage.releases.forge(stage.new_image(), target={"size": stage.found_at.sizes[stage.other] + 1})


def _image_of_another_chip(stage: Stage) -> None:
    image = stage.new_image()
    stage.releases.forge(image[:_CHIP_AT] + b"\x63" + image[_CHIP_AT + 1 :])


def _no_image(stage: Stage) -> None:
    stage.releases.forge(stage.random.randbytes(20_000))


def _cut_short(stage: Stage) -> None:
    image = stage.new_image()
    stage.releases.forge(image, served=image[: stage.random.randrange(4096, len(image))])


EARLY = {
    "signed by a stranger": (_by_a_stranger, "unknown-key"),
    "with a spoiled signature": (_signature_spoiled, "bad-signature"),
    "of another product": (_of_another_product, "wrong-product"),
    "for another chip": (_for_another_chip, "no-target"),
    "larger than the slot": (_larger_than_the_slot, "too-big"),
    "with an image of another chip": (_image_of_another_chip, "wrong-chip"),
    "with no image": (_no_image, "not-an-image"),
    "with a file that is cut short": (_cut_short, "size-mismatch"),
}
QUICK = ("with a spoiled signature",)


@pytest.mark.parametrize(
    ("publish", "code"),
    [pytest.param(*row, id=name, marks=[pytest.mark.quick] if name in QUICK else []) for name, row in EARLY.items()],
)
def test_release_is_refused_before_anything_is_erased(
    stage: Stage, publish: Callable[[Stage], None], code: str
) -> None:
    """A release that is not for this board is refused before anything is erased."""
    publish(stage)
    stage.look()
    stage.settle()
    ends(stage, stage.home, untouched=True, code=code)


def _another_image_in_its_place(stage: Stage) -> None:
    stage.releases.forge(stage.new_image(), served=stage.new_image())


def _damaged_and_signed(stage: Stage) -> None:
    image = stage.new_image()
    stage.releases.forge(spoiled(image, stage.random.randrange(4096, len(image) - 64)))


LATE = {
    "another sound image in its place": (_another_image_in_its_place, "hash-mismatch"),
    "a damaged image that is signed as it is": (_damaged_and_signed, "set-boot"),
}


@pytest.mark.parametrize(("publish", "code"), LATE.values(), ids=LATE)
def test_release_is_refused_before_the_switch(stage: Stage, publish: Callable[[Stage], None], code: str) -> None:
    """An image that is not the one that was signed, or that no bootloader starts, is never switched to."""
    publish(stage)
    stage.look()
    stage.settle()
    ends(stage, stage.home, code=code)


SERVERS = {
    "a certificate of a stranger's": ("bad-cert", "cert-untrusted"),
    "a way out of TLS": ("redirect:302:http", "redirect-to-http"),
}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        pytest.param(*row, id=name, marks=[pytest.mark.quick] if "stranger" in name else [])
        for name, row in SERVERS.items()
    ],
)
def test_server_is_refused(stage: Stage, fault: str, code: str) -> None:
    """A server that does not show who it is gets no further."""
    stage.publish()
    stage.script(fault, match="*")
    stage.look()
    stage.settle()
    ends(stage, stage.home, untouched=True, code=code)
