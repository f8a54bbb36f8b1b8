"""Sentences for the agent's codes (P10): what happened, and what to do next.

docs/errors.md is made from this table.
"""

from otactl.board.codes_application import APPLICATION
from otactl.board.codes_data import DATA
from otactl.board.codes_delta import DELTAS
from otactl.board.codes_engine import ENGINES
from otactl.board.codes_tls import CERTIFICATES
from otactl.board.codes_trust import TRUST

CODES: dict[str, tuple[str, str]] = {
    # before anything is fetched
    "config-missing": ("The board has no configuration.", "Run `otactl deploy`."),
    "config-not-json": (
        "The board's configuration is not JSON.",
        "Mend /etc/ota/config.json, or deploy again.",
    ),
    "config-invalid": (
        "The board's configuration has a wrong or unknown entry.",
        "Mend the entry named, or deploy again.",
    ),
    "not-installed": (
        "A check that the configuration asks for is not on the board.",
        "Run `otactl deploy`: it installs what is configured.",
    ),
    "keys-missing": ("The board has no release key.", "Run `otactl deploy`."),
    "keys-invalid": ("The board's release key file is damaged.", "Run `otactl deploy`."),
    "ca-missing": ("The board has no CA certificate.", "Run `otactl deploy`."),
    "no-ota-slots": (
        "The board's partition table has no two OTA slots.",
        "Make them once by cable: `otactl provision`.",
    ),
    "unconfirmed": (
        "The board is still trying the last release.",
        "Wait for its trial to end, or `otactl confirm`.",
    ),
    "record": (
        "The board's NVS cannot be written.",
        "Check that the table has an nvs partition with room.",
    ),
    "timer": ("No hardware timer is free for the trial.", "Leave one timer to the agent."),
    "no-memory": (
        "The program leaves the agent too little memory for a secure connection.",
        "Free some before it looks (the figures: bytes free, largest piece), or let it look first.",
    ),
    "agent-error": (
        "The agent met an error that it does not know.",
        "Report this with the board's console.",
    ),
    "start-timeout": (
        "The look for an update took longer than start_timeout_s; the program was started.",
        "The next look goes on from there; set start_timeout_s higher on a slow network.",
    ),
    "on-hold": (
        "The release's last trial met a network that was down.",
        "It is tried again after so many looks more; see that Wi-Fi and server are up.",
    ),
    # network
    "wifi-not-found": (
        "The Wi-Fi network was not found.",
        "Check the name, the distance and 2.4 GHz.",
    ),
    "wifi-wrong-password": (
        "The Wi-Fi password is wrong.",
        "Set it in otactl.toml and deploy again.",
    ),
    "wifi-failed": ("The board could not join Wi-Fi.", "Try again; look at the access point."),
    "ethernet-config": (
        "The chip refused the Ethernet settings.",
        "Mend [board.ethernet] in otactl.toml and deploy again.",
    ),
    "ethernet-failed": ("Ethernet got no address.", "Look at the cable, and at the DHCP server."),
    "clock-not-set": (
        "The board does not know the date, so it cannot judge certificates.",
        "Let it reach a time server (ntp_host); `otactl deploy` sets its clock too.",
    ),
    "bad-url": (
        "The address of the release is malformed.",
        "Mend `url` in otactl.toml and deploy again.",
    ),
    "http-not-allowed": (
        "The address is plain HTTP.",
        "Use https, or set allow_http if the network is yours.",
    ),
    "dns": (
        "The server's name does not resolve.",
        "Check `url`; an address, or name.local, works without DNS.",
    ),
    "connect": (
        "The server does not answer.",
        "Is `otactl serve` running, and its port open in the firewall?",
    ),
    **CERTIFICATES,
    "http-status": (
        "The server refused the file.",
        "Look at the server; 404: was the release published?",
    ),
    "too-many-redirects": ("The server redirects without end.", "Mend the server."),
    "redirect-to-http": (
        "The server redirects to plain HTTP.",
        "Mend the server, or set allow_http.",
    ),
    "bad-response": ("The server's answer is not HTTP as it should be.", "Mend the server."),
    "bad-range": ("The server answered with another part than asked for.", "Mend the server."),
    "stalled": ("The connection stood still.", "Try again; always `tls`: memory is short, let it look first."),
    "dropped": ("The connection broke.", "Try again: it goes on where it was."),
    # the cable
    "cable": (
        "The push over the cable broke off.",
        "Push again: it goes on where it was (with --raw if `deflate` is the reason).",
    ),
    # the release
    "envelope-too-big": (
        "The release file is larger than 8 KiB.",
        "Publish it with fewer targets.",
    ),
    "envelope-not-json": ("The release file is damaged.", "Publish it again; check the server."),
    "envelope-type": ("The release file is of another kind.", "Check `url`."),
    "unknown-key": (
        "The release is signed with a key that the board does not know.",
        "See `otactl keys list`; newer keys come by a trust document, or by deploy.",
    ),
    "bad-signature": (
        "The release's signature is wrong: it was altered.",
        "Publish it again; find out who did it.",
    ),
    **TRUST,
    "schema": (
        "The release is written in a form that this agent does not know.",
        "Update the agent: deploy again.",
    ),
    "bad-release": (
        "The release lacks an entry, or has a wrong one.",
        "Publish it again with `otactl publish`.",
    ),
    "wrong-product": ("The release is for another product.", "Check `product` in otactl.toml."),
    "unknown-kind": (
        "The release has a target that this agent does not know.",
        "Deploy again; for a release with data, with `data` in the board's configuration.",
    ),
    "no-target": (
        "The release has nothing for this chip and build.",
        "Publish it with firmware for this chip too.",
    ),
    "up-to-date": ("The board has the newest release.", ""),
    "older": (
        "The release is older than what the board has had, or its sequence was given out twice.",
        "Publish a new one: sequences only rise; after an old backup was restored, with --sequence.",
    ),
    "replayed": (
        "The channel's file is older than what this channel has named to the board before.",
        "Find out who serves an old file; a new release ends it, or `otactl keys revoke` where a stolen key was heard.",
    ),
    "expired": (
        "The channel's release has expired: nobody has renewed it, or somebody withholds what is newer.",
        "`otactl releases renew`, or publish a new one; then see that the server has it.",
    ),
    "failed-before": (
        "The release failed its trial on this board.",
        "Publish a new one that mends it.",
    ),
    "security-version": (
        "The release's security version is below the board's, or the image's own below that of the one that runs.",
        "Publish it with a higher --security-version; `image`: build it with a higher secure_version.",
    ),
    "too-big": (
        "The image is larger than the board's slot.",
        "Use a smaller build, or a table with larger slots.",
    ),
    **APPLICATION,
    **DATA,
    **ENGINES,
    # the image
    "size-mismatch": (
        "The file is not as long as the release says.",
        "Publish again; check the server's copy.",
    ),
    "hash-mismatch": (
        "The file is not the one that was signed.",
        "Publish again; check the server's copy.",
    ),
    **DELTAS,
    "not-an-image": ("The file is no ESP32 image.", "Publish it again with `otactl publish`."),
    "full-flash": (
        "The file is a full-flash image.",
        "Publish it with `otactl publish`, which takes the app out.",
    ),
    "no-descriptor": ("The image is no app.", "Publish the app image."),
    "wrong-chip": ("The image is for another chip.", "Publish firmware for this chip."),
    "image-key": (
        "No key that the board trusts has signed the image itself, as the release has it.",
        "Sign it with that key, or deploy [board.image_signature] with the key that did: docs/security.md.",
    ),
    "image-signature": (
        "The image's own signature is not what the release promises; it was not switched to.",
        "Publish it again with `otactl publish`, which verifies it; find out who published this one.",
    ),
    "encryption": (
        "The image is encrypted by a scheme that the board has no key for, or is not, and it must be.",
        "Publish it with `otactl publish --encrypt`, or deploy [board.encryption] as the release has it: docs/security.md.",
    ),
    "encryption-key": (
        "The board's device key is missing, or the image is encrypted for another one.",
        "Deploy, and publish it with `otactl publish --encrypt` and the public half of that key.",
    ),
    # flash
    "flash-write": (
        "The flash could not be written.",
        "Try again; if it stays so, the flash is worn.",
    ),
    "read-back": (
        "The flash does not hold what was written.",
        "Try again; if it stays so, the flash is worn.",
    ),
    "set-boot": (
        "The chip refused the image.",
        "Check with `esptool image-info` that it is whole.",
    ),
    # trials
    "check-wifi": (
        "The new release could not join Wi-Fi.",
        "It is tried again later; if the network was up, mend the release and publish the next version.",
    ),
    "check-network": (
        "The new release got no address on the network.",
        "It is tried again later; if the network was up, mend the release and publish the next version.",
    ),
    "check-server": (
        "The new release could not reach the release server.",
        "It is tried again later; if the server was up, mend the release and publish the next version.",
    ),
    "check-gpio": (
        "A pin did not hold its level under the new release.",
        "Look at the hardware and the program.",
    ),
    "check-heap": (
        "The new release leaves too little memory.",
        "Mend it and publish the next version.",
    ),
    "check-filesystem": (
        "The new release could not use the filesystem.",
        "Free some room; mend it.",
    ),
    "check-import": (
        "A module does not import under the new release.",
        "Mend it and publish the next version.",
    ),
    "check-call": (
        "Your check failed under the new release.",
        "Mend it and publish the next version.",
    ),
    "deadline": (
        "The trial's time ran out.",
        "The application did not call agent.healthy(), a check hung, or main.py lacks agent.start().",
    ),
    "trial-watchdog": (
        "The new release hung: the watchdog reset it.",
        "Mend it and publish the next version.",
    ),
    "trial-power": (
        "Power went during each of three trials.",
        "Look at the supply (a brown-out counts too), then publish it again under the next version.",
    ),
    "trial-crash": (
        "The new release reset by itself during the trial.",
        "Mend it and publish the next version.",
    ),
    "trial-restarts": (
        "The new release restarted itself over and over.",
        "Mend it and publish the next version.",
    ),
    "image-damaged": (
        "The bootloader found the new image damaged.",
        "Publish it again under the next version.",
    ),
    "switch-lost": (
        "Power went at the switch three times.",
        "Publish it again under the next version.",
    ),
    "confirm": (
        "The confirmation could not be written.",
        "Try again; if it stays so, the flash is worn.",
    ),
    "not-on-trial": ("There is no trial to confirm.", ""),
    "rollback": ("It was rolled back by request.", "Publish the next version to go forward."),
    "no-rollback": (
        "No other slot holds a release, whole, that was confirmed on this board.",
        "Install one by `otactl update`; `otactl slots switch` tries any image.",
    ),
}


def sentence(code: str, detail: str = "") -> str:
    """One line for a person; an unknown code (of a newer agent) comes as it is."""
    what, then = CODES.get(code, ("The board says so.", ""))
    fact = f"{code} ({detail})" if detail else code
    return f"{fact}: {what} {then}".strip()
