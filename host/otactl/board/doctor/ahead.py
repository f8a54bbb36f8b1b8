"""What the board would trust after its next look: the code that asks for trust documents as the agent does, and keeps none.

It runs on the board, by the agent's own parts (device/ota/release/trust.py), where the keys that the board has refuse the
channel's release.
"""

CODE = """
def _ahead(c, why):
    # The payload by the newest documents' keys, and their number. Raises `why` where there are none, OtaError.
    from ota.errors import OtaError
    from ota.net import url
    from ota.release import envelope, keys
    try:
        from ota.release import trust
    except ImportError:  # it is not installed, or an agent from before it
        raise why
    if not c.get("trust") or why.code not in trust._SIGNERS:
        raise why
    n, held = keys.load(c["keys"])[0], None
    roots = keys.load(c["keys"], "root")
    for _ in range(16):  # in one look, as the agent
        try:
            raw = _fetched(c, url.join(c["url"], "trust/%d.json" % (n + 1)))
        except OtaError as e:
            if e.code != "http-status" or e.detail not in trust._NOT_THERE:
                raise
            break
        n += 1
        held, roots = _document(raw, n, roots, c["product"])
    if not held:
        raise why
    return envelope.open_envelope(_fetched(c, c["url"]), _role(held, n, "release")), n
def _fetched(c, address):
    from ota import steps
    from ota.net import link
    from ota.release import envelope
    response = steps.run(link.fetch(c, address))
    try:
        return steps.run(response.read(envelope.MOST + 1))
    finally:
        response.close()
def _role(held, n, role):
    return n, {k: int(held["keys"][k], 16) for k in held[role]["keys"]}, held[role]["threshold"]
def _document(raw, n, roots, product):
    from ota.errors import OtaError
    from ota.release import envelope, trust
    try:
        held = trust._held(envelope.open_envelope(raw, roots, trust.PAYLOAD_TYPE), n, product)
        roots = _role(held, n, "root")
        envelope.open_envelope(raw, roots, trust.PAYLOAD_TYPE)
        return held, roots
    except OtaError as e:
        raise OtaError("trust-signature" if e.code in trust._SIGNERS else "trust-invalid", "%d %s" % (n, e))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise OtaError("trust-invalid", n)
"""
