"""What takes seconds to make and is only copied: made once for all workers of a session."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock


def made(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """The folder that `make` has filled, for whichever worker came first; nobody changes it. `name`: of it in a session."""
    base = factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent  # each worker has one of its own there
    folder, work = base / f"shared-{name}", base / f"shared-{name}.new"
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            shutil.rmtree(work, ignore_errors=True)  # of a worker that failed
            work.mkdir()
            make(work)
            work.rename(folder)
    return folder
