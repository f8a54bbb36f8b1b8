"""The agent of a board without two slots: application releases alone, in two directories that the record chooses from."""

import gc
import sys

_kept: tuple = ()


def keep() -> None:
    """What has been imported up to now stays."""
    global _kept
    _kept = tuple(sys.modules)


def let_go() -> None:
    """What has been imported since has done its work: an ESP8266 has no room for all of it at once."""
    for name in [name for name in sys.modules if name not in _kept]:
        at = name.rfind(".")  # an ESP8266 is built without str.rpartition()
        if at > 0 and name[:at] in sys.modules:
            sys.modules[name[:at]].__dict__.pop(name[at + 1 :], None)
        del sys.modules[name]
    gc.collect()
