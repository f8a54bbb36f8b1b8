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
                steps.soon, steps.astray = soon, False
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
        waited, waits, steps.soon = 0, [], ""
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
    ([("2", "unknown-key", 10), ("", SAME, 10)], [50, HOUR], HOUR),
    # each new word, and each new detail of the same, is a write to NVS
    ([("2", SAME), ("2", "http-status"), ("2", SAME), ("2", SAME)], [2, 60, 2, 2], HOUR),
    ([("2", "unknown-key"), ("2", "unknown-key"), ("90", "unknown-key")], [60, 60, 90], HOUR),
    ([("2", "unknown-key")], [30], 30),
    # what costs a slot's wear, or is counted in looks, comes at growing distances, from its end on; the first soon: somebody waits
    ([("2", "job dropped", 90), ("2", "job dropped", 90), ("2", "job dropped", 90)], [4, 8, 16], HOUR),
    ([("2", "job no-memory"), ("2", "on-hold"), ("2", "job bad-archive"), ("2", SAME)], [4, 8, 16, 2], HOUR),
    ([("2", "job hash-mismatch"), ("60", "job hash-mismatch")], [4, 60], HOUR),
    ([("2", "job read-back")] * 12, [4 << n for n in range(10)] + [HOUR, HOUR], HOUR),
    ([("2", "job read-back")] * 18, [4 << n for n in range(15)] + [24 * HOUR] * 3, 24 * HOUR),
    # a word that can be had in turn does not count anew
    ([("2", "job dropped"), ("2", "http-status"), ("2", "job dropped")], [4, 60, 8], HOUR),
    # one that nobody can have in turn who has not signed a newer release
    ([("2", "job dropped"), ("2", "failed-before"), ("2", "job dropped")], [4, 2, 4], HOUR),
    ([("2", "job dropped")], [1], 1),
    ([("", "job dropped")], [HOUR], HOUR),
    ([("", "job hash-mismatch"), ("", "job hash-mismatch"), ("", "on-hold")], [2 * HOUR, 4 * HOUR, HOUR], HOUR),
    # nobody answers, who has asked for it before
    ([("2", SAME), (None, "connect", 30), (None, "dns", 30), ("2", SAME)], [2, 4, 8, 2], HOUR),
    ([("2", "job dropped", 90), (None, "connect", 30), (None, "dns", 30), ("2", SAME)], [4, 8, 16, 2], HOUR),
    ([("2", SAME)] + [(None, "wifi-failed")] * 12, [2] + [4 << n for n in range(10)] + [HOUR, HOUR], HOUR),
    ([(None, "connect"), ("", SAME), (None, "connect")], [HOUR] * 3, HOUR),
    ([("2", SAME), ("", SAME), (None, "connect")], [2, HOUR, HOUR], HOUR),
]


def test_the_next_look_comes_as_asked_within_bounds(mpy: Run) -> None:
    waits = mpy(WAITS, rows=[(looks, interval_s) for looks, _, interval_s in ROWS])
    assert [(looks, got) for (looks, _, _), got in zip(ROWS, waits, strict=True)] == [row[:2] for row in ROWS]
