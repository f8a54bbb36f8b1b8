"""`otactl` as a process of its own, from the checkout."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HOST = Path(__file__).resolve().parents[3] / "host"


def environment(*first: Path, **more: str) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*first, HOST])), "PYTHONUNBUFFERED": "1", **more}


def otactl(*words: object, **how: object) -> subprocess.CompletedProcess[str]:
    how = {"stdout": subprocess.PIPE, "env": environment(), **how}
    return subprocess.run(
        [sys.executable, "-m", "otactl", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
        **how,
    )


@contextmanager
def process(*words: object, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [sys.executable, "-m", "otactl", *map(str, words)],
        env=env or environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()  # where a check failed: it would be waited for without end
