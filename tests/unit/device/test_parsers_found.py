"""What fuzzing found, and what it comes to since, in both interpreters. The inputs lie in tests/fuzz/corpus."""

from pathlib import Path

import pytest
from fuzz import loading

from .conftest import Run

AS_NEW = {"failed": [[5, "deadline"]], "floor_security": 1, "floor_sequence": 3}
AS_NEW |= {"heard": None, "held": None, "refused": None, "releases": []}

FOUND = {
    # bytes of a certificate nobody has vouched for: an exception in the middle of TLS's handshake
    "certificate/bytes": ["ok", [None, None]],
    # a record that the agent did not write: an exception without a code, at each look from then on
    "record/list": ["ok", AS_NEW],  # MicroPython only
    "record/pairs": ["ok", AS_NEW],  # MicroPython only
    "record/pairs-nested": ["ok", AS_NEW],  # was read otherwise than it had been written
    "record/infinite": ["ok", AS_NEW],
    # words of strangers: lines on the console that look like the agent's own, or as long as the file
    "envelope/line-end": ["code", "unknown-key", "?ota: confirmed"],
    "payload/schema-text": ["code", "schema", "x" * 80],
    "http/smuggled": ["code", "bad-url", "http://a/b?Host: c"],
    # an underscore at the end of a number, which MicroPython alone passes over: an answer of status 20
    "http/status-underscore": ["code", "bad-response", "not HTTP"],
    # hosts that others read otherwise
    "url/fragment": ["code", "bad-url", "https://u.test#b"],
    "url/open-bracket": ["code", "bad-url", "http://["],
    # an object where a check's name stands: CPython only, and refused there as on a board now
    "config/check-object": ["code", "config-invalid", "trial.checks[0].check"],
    # signs and blanks where digits stand
    "date/signs": ["ok", None],
}
INPUTS = {key: (loading.CORPUS / key).read_bytes() for key in FOUND}

RUN = """
    import binascii, sys
    sys.path.append(args["tests"])
    sys.modules["esp32"] = type("", (), {"NVS": None, "Partition": None})  # a board's; no parser asks it for anything
    import fuzz.network, fuzz.vouched, fuzz.engines
    from fuzz import parsers
    found = []
    for name, data in args["inputs"]:
        try:
            found.append(parsers.told(parsers.outcome(parsers.PARSERS[name], binascii.unhexlify(data))))
        except Exception as e:
            found.append(repr(e))
    print(json.dumps(found))
"""


@pytest.mark.parametrize("key", FOUND)
def test_finding_in_cpython(key: str) -> None:
    with loading.in_place() as parsers:
        outcome = parsers.outcome(parsers.PARSERS[key.partition("/")[0]], INPUTS[key])
        assert parsers.told(outcome) == parsers.told(FOUND[key])


def test_findings_in_micropython(mpy: Run) -> None:
    inputs = [(key.partition("/")[0], data.hex()) for key, data in INPUTS.items()]
    got = mpy(RUN, heap="400k", inputs=inputs, tests=str(Path(loading.__file__).parents[1]))
    told = loading.load().told
    assert got == [told(outcome) for outcome in FOUND.values()]
