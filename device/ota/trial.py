"""For a boot.py from 0.1.0, which says `ota.trial.start()`: the same as ota.boot.start()."""

from . import boot

start = boot.start
