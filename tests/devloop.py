"""`otactl dev` in a process of its own, for board tests: a folder that is saved into as by an editor, and all that it says."""

import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

HOST = Path(__file__).resolve().parents[1] / "host"


class Loop:
    """`folder`: what is developed; `said`: all lines up to now; `patience_s`: how long a line may take."""

    patience_s = 30

    def __init__(self, folder: Path) -> None:
        self.folder, self.said = folder, list[str]()
        self._lines: queue.Queue[str] = queue.Queue()
        self.process: subprocess.Popen[str] | None = None

    def save(self, name: str, text: str) -> None:
        """As an editor does: another file takes the name."""
        (self.folder / ".new").write_text(text)
        os.replace(self.folder / ".new", self.folder / name)

    def dev(self, *words: str | Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "otactl", "dev", *map(str, words)],
            env={**os.environ, "PYTHONPATH": str(HOST), "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        threading.Thread(target=self._read, args=(self.process,), daemon=True).start()

    def _read(self, process: "subprocess.Popen[str]") -> None:
        assert process.stdout
        for line in process.stdout:
            self._lines.put(line.rstrip("\n"))

    def wait(self, pattern: str) -> str:
        """The next line that has it."""
        until = time.monotonic() + self.patience_s
        while time.monotonic() < until:
            try:
                line = self._lines.get(timeout=0.2)
            except queue.Empty:
                continue
            self.said.append(line)
            if re.search(pattern, line):
                return line
        raise AssertionError(f"no {pattern!r} in {self.said[-30:]}")

    def interrupt(self) -> None:
        """Ctrl-C."""
        assert self.process
        self.process.send_signal(signal.SIGINT)

    def ended(self, timeout_s: float) -> int:
        """Its exit code."""
        assert self.process
        return self.process.wait(timeout_s)

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
