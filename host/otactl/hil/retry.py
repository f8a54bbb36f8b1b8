"""A test that ended by a rig fault runs a second time, if the board came back; nothing else is ever repeated.

Once: a rig that fails twice in a row is to be mended, not to be asked until it says what one likes to hear.
"""

import pytest
from _pytest.runner import runtestprotocol
from otactl_pytest import outcome, redact


def protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool:
    """pytest_runtest_protocol for one test; the fault that it was repeated after is in its user_properties."""
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    reports = runtestprotocol(item, nextitem=nextitem, log=False)
    why = next(filter(None, map(outcome.of, reports)), "")
    # after the last test the board is put back already, and a broken one answers no second time either
    if why and nextitem is not None and outcome.BROKEN not in item.config.stash:
        item.user_properties.append(("retried", redact.clean(why)))
        _say(item, f"rig fault, once more: {why}")
        item._initrequest()  # type: ignore[attr-defined] # fixtures anew, as pytest does it before the first time
        reports = runtestprotocol(item, nextitem=nextitem, log=False)
    for report in reports:
        item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    return True


def _say(item: pytest.Item, text: str) -> None:
    terminal = item.config.pluginmanager.get_plugin("terminalreporter")
    if terminal:
        terminal.write_line(f"\n{redact.clean(text)}")
