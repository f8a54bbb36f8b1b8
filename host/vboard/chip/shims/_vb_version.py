"""What the VM of an older firmware is built without. The one that runs here is of 1.28 or newer."""

import builtins

_next = next


def _next_of_one(iterator):
    return _next(iterator)


def limit_vm(version):
    """Take away what a firmware of `version` does not have, last of all: the shims may use it. Source: py/mpconfig.h of the
    tags v1.23.0 to v1.28.0, at the level of features that both ports are built with."""
    if version[:2] < (1, 25):  # MICROPY_PY_BUILTINS_NEXT2
        builtins.next = _next_of_one
