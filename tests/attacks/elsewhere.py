"""Attacks that other tests hold: what he does, the code, what it would have gained him, and the test."""

from typing import NamedTuple


class Elsewhere(NamedTuple):
    """`test`: FILE::FUNCTION below tests/, or FILE::FUNCTION[ROW]. `reaches`: as in bench.Row."""

    does: str
    code: str
    gains: str
    test: str
    reaches: str = "look"


_SOFTWARE = "any software on the board"
_OLDER = "an older release, with its old holes"
_TRANSPORT = "the transport: what boards ask for, and to hold it back"
_TIME = "the board's time: no look ends"
_REFUSALS, _FAULTS, _CLOCK = "board/test_refusals.py::", "board/test_faults.py::test_fault", "board/test_clock.py::"
_HTTP, _ENVELOPE, _PSS = (
    "unit/device/test_http.py::",
    "unit/device/test_release.py::",
    "unit/device/test_signature.py::",
)
_SIGNED = "board/test_signed_images.py::"

ELSEWHERE = [
    Elsewhere(
        "arbitrary software: signed with a key of his own",
        "unknown-key",
        _SOFTWARE,
        _REFUSALS + "test_envelope_is_refused[with no known signature]",
    ),
    Elsewhere(
        "altered payload: one letter of what was signed",
        "bad-signature",
        _SOFTWARE,
        _REFUSALS + "test_envelope_is_refused[with an altered payload]",
    ),
    Elsewhere(
        "altered payload: one letter of the signature",
        "bad-signature",
        _SOFTWARE,
        _REFUSALS + "test_envelope_is_refused[with a wrong signature]",
    ),
    Elsewhere(
        "another message: a file of another type, with its good signature",
        "envelope-type",
        _SOFTWARE,
        _REFUSALS + "test_envelope_is_refused[of another type]",
    ),
    Elsewhere(
        "signature: a salt of another length",
        "bad-signature",
        "a signature of a weaker kind",
        _ENVELOPE + "test_another_salt_is_refused",
    ),
    Elsewhere(
        "signature: PKCS#1 v1.5 in place of PSS",
        "bad-signature",
        "a signature of a weaker kind",
        _PSS + "test_pkcs1_v1_5_is_bad",
    ),
    Elsewhere(
        "signature: plus the modulus, which is the same number",
        "bad-signature",
        "a second signature out of one",
        _PSS + "test_lengths_and_range_are_checked",
    ),
    Elsewhere(
        "signature: padding that is not as it must be",
        "bad-signature",
        "a signature without the key",
        _PSS + "test_the_encoding_is_checked_to_the_byte",
    ),
    Elsewhere(
        "altered image: one byte", "hash-mismatch", _SOFTWARE, _FAULTS + "[wrong byte, and again]", reaches="slot"
    ),
    Elsewhere(
        "altered image: its first byte", "not-an-image", _SOFTWARE, _FAULTS + "[wrong byte in the head]", reaches="file"
    ),
    Elsewhere(
        "altered image: cut, and the release says so",
        "set-boot",
        "a board that does not start",
        _REFUSALS + "test_release_is_refused_before_it_is_booted[whose image ends too early]",
        reaches="slot",
    ),
    Elsewhere(
        "mix-and-match: the release of another product",
        "wrong-product",
        _SOFTWARE,
        _REFUSALS + "test_release_is_refused[of another product]",
    ),
    Elsewhere(
        "mix-and-match: a full-flash file as an image",
        "full-flash",
        "a board that does not start",
        _REFUSALS + "test_full_flash_file_is_named_as_such",
        reaches="file",
    ),
    Elsewhere(
        "replay: the sequence of what runs, with another image, well signed",
        "older",
        "a mend that boards take for installed",
        _REFUSALS + "test_release_is_refused[with the sequence of what is installed, and another image]",
    ),
    Elsewhere("replay: an older channel file", "older", _OLDER, _REFUSALS + "test_older_release_is_refused"),
    Elsewhere(
        "replay: a lower security version, well signed",
        "security-version",
        _OLDER,
        _REFUSALS + "test_lower_security_version_is_refused",
    ),
    Elsewhere(
        "fast-forward: the highest sequence, heard of a stolen key, once that key is revoked",
        "up-to-date",
        "boards that take no release any more",
        "board/test_trust_documents.py::"
        "test_sequence_that_a_thief_was_heard_with_binds_no_longer_once_his_key_is_revoked",
    ),
    Elsewhere(
        "trust document: a chain without end",
        "trust-behind",
        "the board's time: no look ends",
        "board/test_trust_documents.py::test_chain_without_end_is_taken_in_pieces",
    ),
    Elsewhere(
        "image key: signed with another key",
        "image-key",
        "software of the release key's thief",
        _SIGNED + "test_image_of_no_trusted_key_is_refused_before_the_first_byte",
    ),
    Elsewhere(
        "image key: a release that vouches for it in vain",
        "image-signature",
        "software of the release key's thief",
        _SIGNED + "test_image_whose_release_vouches_for_it_in_vain_is_never_switched_to",
        reaches="slot",
    ),
    Elsewhere(
        "endless data: bytes behind the image, with a length",
        "size-mismatch",
        "a write behind the slot",
        _FAULTS + "[too long]",
        reaches="file",
    ),
    Elsewhere(
        "endless data: bytes behind the image, without a length",
        "installed",
        "a write behind the slot",
        _FAULTS + "[too long, and no length]",
    ),
    Elsewhere(
        "endless data: chunks of a byte, or of none",
        "stalled",
        "an application that stands still",
        _HTTP + "test_chunks_without_end_leave_other_tasks_their_turn",
    ),
    Elsewhere(
        "slow loris: headers, a byte now and then", "stalled", _TIME, _FAULTS + "[trickle of headers]", reaches="file"
    ),
    Elsewhere(
        "slow retrieval: less than 512 bytes a second",
        "stalled",
        _TIME,
        _HTTP + "test_less_than_512_bytes_a_second_beyond_a_minute_is_a_stall",
    ),
    Elsewhere(
        "slow retrieval: cut after each try",
        "dropped",
        _TIME,
        _FAULTS + "[no Range, and cut half way again and again]",
        reaches="slot",
    ),
    Elsewhere(
        "slow retrieval: Retry-After, again and again",
        "http-status",
        _TIME,
        _FAULTS + "[503 with a Retry-After that is too long]",
        reaches="file",
    ),
    Elsewhere(
        "redirect: to another host",
        "cert-host",
        _TRANSPORT,
        _FAULTS + "[302 to a host of another name]",
        reaches="file",
    ),
    Elsewhere(
        "redirect: of the image to http", "redirect-to-http", _TRANSPORT, _FAULTS + "[307 to http]", reaches="file"
    ),
    Elsewhere("redirect: without end", "too-many-redirects", _TIME, _FAULTS + "[redirect loop]", reaches="file"),
    Elsewhere(
        "no good release again: wrong files, as often as he likes",
        "hash-mismatch",
        "a good release on the list of failed ones",
        "board/test_faults.py::test_what_a_server_sends_never_blacklists_a_release",
        reaches="slot",
    ),
    Elsewhere(
        "no good release again: no network during a trial",
        "on-hold",
        "the same",
        "board/test_update.py::test_release_whose_trial_finds_no_network_is_tried_again_at_growing_distances",
    ),
    Elsewhere(
        "certificate: of a CA that the board does not know",
        "cert-untrusted",
        _TRANSPORT,
        _REFUSALS + "test_certificate_not_from_our_ca",
    ),
    Elsewhere(
        "certificate: another one in mid-download",
        "cert-untrusted",
        _TRANSPORT,
        _FAULTS + "[bad certificate in mid-download]",
        reaches="slot",
    ),
    Elsewhere(
        "certificate: expired",
        "cert-expired",
        _TRANSPORT,
        _CLOCK + "test_certificate_that_has_expired_is_refused_whoever_tells_the_time",
    ),
    Elsewhere("downgrade: no TLS", "tls", _TRANSPORT, _REFUSALS + "test_server_without_tls"),
    Elsewhere(
        "forged name: there is no such name",
        "dns",
        "to hold an update back, which he can",
        _REFUSALS + "test_server_whose_name_does_not_resolve",
    ),
    Elsewhere(
        "forged time: 40 years ahead, and our server tells the right one",
        "up-to-date",
        "a floor in the future",
        _CLOCK + "test_forged_time_is_corrected_at_once_and_shuts_nobody_out",
    ),
    Elsewhere(
        "forged time: no one tells it",
        "clock-not-set",
        "a certificate judged by a wrong date",
        _REFUSALS + "test_board_that_nobody_tells_the_date",
    ),
]
