"""Sentences for the codes of keys that change; codes.py has the others."""

TRUST: dict[str, tuple[str, str]] = {
    "too-few-signatures": (
        "Fewer keys have signed the release than the board asks for.",
        "Have the others sign it too: `otactl attach-signature`.",
    ),
    # trust documents
    "trust-behind": (
        "The release names newer keys than the board has.",
        "Serve releases/trust/ beside the channel; by cable: deploy.",
    ),
    "trust-signature": (
        "A trust document is not signed by the root keys that the board knows and by its own.",
        "Find out who made it: `otactl keys list`.",
    ),
    "trust-invalid": (
        "A trust document is damaged, of another product or version, or makes no sense.",
        "Serve the one that otactl wrote; check the server.",
    ),
    "trust-write": ("The board could not keep its new keys.", "Free some room on its filesystem."),
}
