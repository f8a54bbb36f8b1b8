"""Sentences for the codes of TLS: the server's certificate, and the board's own (codes.py has the others)."""

CERTIFICATES: dict[str, tuple[str, str]] = {
    "tls": (
        "The TLS connection failed.",
        "Check that the server speaks TLS 1.2, shows no weak certificate, and asks for none of the board's.",
    ),
    "cert-untrusted": (
        "The server's certificate is not from the CA on the board.",
        "Deploy with the right workspace.",
    ),
    "cert-host": (
        "The server's certificate is for another name.",
        "`otactl init --renew NAME` with the name that boards use.",
    ),
    "cert-expired": ("The server's certificate has expired.", "`otactl init --renew`."),
    "cert-not-yet-valid": (
        "The server's certificate is not valid yet.",
        "Set the clocks of board and server.",
    ),
    "cert-pin": (
        "The server's certificate is not a pinned one.",
        "`otactl ca pin` shows its pins; deploy [board] pins with the new one, or find out who answers there.",
    ),
    "tls-unverified": (
        "An ESP8266 cannot check who a server is, so its agent does not speak TLS.",
        "Set an http address and allow_http below [board]; the release's signature is checked all the same.",
    ),
    "client-file": (
        "The board's own certificate or its key cannot be used.",
        "`otactl ca client NAME`, then `otactl deploy NAME`.",
    ),
    "client-refused": (
        "The server broke off when the board had shown its own certificate.",
        "If it stays so it refuses it, as its log may say: `otactl ca client NAME`, `otactl deploy NAME`.",
    ),
}
