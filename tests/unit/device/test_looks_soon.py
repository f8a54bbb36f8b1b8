"""When the agent looks again, where its release server has asked for that by Ota-Look: the real agent on a MicroPython without the chip's
modules, its looks answered by the test."""

from .conftest import Run

HOUR = 3600
WAITS = """
    import sys
    class Missing:
        def __getattr__(self, name):
            return Missing()
        def __call__(self, *a, **k):
            return Missing()
    for name in ("esp32", "network"):
        sys.modules[name] = Missing()
    from ota import agent, steps
    from ota.install import update
    class Job:
        def __init__(self, *_):
            pass
        def steps(self, *_):
            raise OtaError(ends.pop())
            yield
    class Record:
        job = {}
        def note(self, *_):
            pass
    class Update(update.Update):
        def __init__(self):
            self._tries, self._config, self._engine = 1, {"data": None}, None
            self._slots = self._view = Missing()
            self._record = Record()
        def look(self):
            if not looks:
                raise KeyboardInterrupt
            soon, code, *took_s = looks.pop(0)
            Clock.now += int(sum(took_s) * 1000)
            if soon is not None:
                steps.soon = soon
            if code[:4] != "job ":
                raise OtaError(code)
            ends.append(code[4:])
            sys.modules["ota.install.job"] = type("job", (), {"Job": Job})
            return {}, None, None
            yield
    class Clock:
        now = 0
        ticks_ms = staticmethod(lambda: Clock.now)
        ticks_diff = staticmethod(lambda after, before: after - before)
    agent.time = Clock
    ends = []
    agent._update = lambda tries, block: Update()
    found = []
    for looks, interval_s in args["rows"]:
        agent._settings = lambda: {"interval_s": interval_s, "jitter_s": 0}
        waited, waits = 0, []
        agent._report = lambda e: waits.append(waited)
        try:
            for ms in agent._polling(None):
                waited += ms
        except KeyboardInterrupt:  # no more looks
            pass
        waits.append(waited)
        found.append([(after - before) / 1000 for before, after in zip(waits, waits[1:])])
    print(json.dumps(found))
"""
SAME = "up-to-date"


# what each look is answered with: Ota-Look (None: no answer came), its outcome, and after how many seconds, if any; seconds until the
# next; the interval
Looks = list[tuple[str | None, str] | tuple[str | None, str, float]]
ROWS: list[tuple[Looks, list[float], int]] = [
    ([("", SAME)], [HOUR], HOUR),
    ([("2", SAME), ("2", SAME), ("", SAME)], [2, 2, HOUR], HOUR),  # asked for anew each time
    ([("2", SAME), (None, SAME)], [2, HOUR], HOUR),  # no answer came
    ([("0", SAME)], [2], HOUR),
    ([("1", SAME)], [2], HOUR),
    ([("30", SAME)], [30], HOUR),
    ([("9" * 2000, SAME)], [HOUR], HOUR),
    ([("2", SAME)], [1], 1),  # never later than by itself
    ([("-5", SAME)], [HOUR], HOUR),
    ([("soon", SAME)], [HOUR], HOUR),
    ([("2", "failed-before"), ("2", "failed-before"), ("2", SAME)], [2, 2, 2], HOUR),
    # from look to look, where the server holds an answer
    (
        [("2", SAME, 10), ("2", SAME, 1), ("30", SAME, 10), ("2", SAME, 0.75), ("", SAME, 10)],
        [0, 1, 20, 1.25, HOUR],
        HOUR,
    ),
    ([("2", "unknown-key", 10), ("2", "on-hold", 10), (None, SAME, 10)], [50, HOUR, HOUR], HOUR),
    # each new word, and each new detail of the same, is a write to NVS
    ([("2", SAME), ("2", "http-status"), ("2", SAME), ("2", SAME)], [2, 60, 2, 2], HOUR),
    ([("2", "unknown-key"), ("2", "unknown-key"), ("90", "unknown-key")], [60, 60, 90], HOUR),
    ([("2", "unknown-key")], [30], 30),
    # counted in looks
    ([("2", "on-hold"), ("2", "on-hold"), ("2", SAME)], [HOUR, HOUR, 2], HOUR),
    # a slot's wear each
    ([("2", "job hash-mismatch"), ("2", "job hash-mismatch")], [2 * HOUR, 4 * HOUR], HOUR),
    ([("2", "job no-space"), ("2", "job no-space"), ("2", SAME)], [HOUR, HOUR, 2], HOUR),
]


def test_the_next_look_comes_as_asked_within_bounds(mpy: Run) -> None:
    waits = mpy(WAITS, rows=[(looks, interval_s) for looks, _, interval_s in ROWS])
    assert [(looks, got) for (looks, _, _), got in zip(ROWS, waits, strict=True)] == [row[:2] for row in ROWS]
