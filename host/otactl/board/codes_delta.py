"""Sentences for the codes of deltas; codes.py has the others."""

DELTAS: dict[str, tuple[str, str]] = {
    "bad-delta": (
        "The delta is damaged, or not the one that was signed; the whole image was fetched in its place.",
        "Publish again; check the server's copy.",
    ),
    "wrong-base": (
        "The image that runs is no longer the one that was installed: a delta made another image of it than the signed one, and the whole image was fetched.",
        "Look at the board's flash if it comes again.",
    ),
}
