"""The program on the boards, and the releases that carry it: what they have beside their firmware."""

SELFTEST = b"""
import sys
def passes():
    if sys.implementation._build == "BAD":
        raise RuntimeError("bad")
    return True
"""
APP = b"""
import json, os
from ota import agent
def main():
    try:
        with open("/data/count.txt") as f:
            n = int(f.read())
    except OSError:
        n = 0
    with open("/data/count.txt", "w") as f:
        f.write("%600d" % (n + 1))
    status = agent.status()
    if "back" in os.listdir("/") and status["installed"]["version"] == "1.1.0":
        agent.rollback()
    print("STATUS", json.dumps(status))
"""


def _tree(name: str, **files: bytes) -> dict[str, bytes]:
    """The same program as a release's application, of several files that name it."""
    said = f"NAME = {name!r}\n".encode()
    own = {"app.py": b"import part, lib.part\n" + APP, "part.py": said, "lib/__init__.py": b"", "lib/part.py": said}
    return own | {"asset.bin": name.encode() * 1500} | files


TREES = {
    "2.0.0": _tree("2.0.0", **{"old.py": b"OLD = True\n"}),
    "2.1.0": _tree("2.1.0"),
    "2.2.0": _tree("2.2.0", **{"deep/er/file": bytes(300)}),
}
ALONE = ("2.1.0",)  # without firmware: that of the release before
