"""One update: find the newest release that this board may take (look.py), and have a job (job.py) bring it into the next slot.
All of it is a generator of steps (steps.py)."""

import gc

from .. import steps
from ..boot import record, slots
from ..console import say
from ..errors import coded
from ..net import connection
from . import let_go
from .retry import patiently

# Of the configuration: what others than an update need would take memory from it.
_NOT_HERE = "trial interval_s jitter_s start_timeout_s".split()
# What a job that broke leaves behind would take the room that the next look's connection needs.
_OF_A_JOB = (
    "job firmware pipeline source sectors application archive tree carried delta decrypt data"
).split()  # one text takes less of a board


class Update:
    """`tries`: how often to look for the release; `block`: whole sectors to work with. Raises OtaError where the
    configuration is wrong or the running image is on trial (P2)."""

    def __init__(self, tries: "int | None", block: bytearray) -> None:
        from .. import config  # which lets go of itself

        self._view = memoryview(block)
        self._config = {key: value for key, value in config.load().items() if key not in _NOT_HERE}
        gc.collect()  # what stays goes into the first hole: what comes later finds larger pieces
        self._tries = tries or self._config["tries"]
        self._slots = slots.Slots()
        self._slots.require_confirmed()
        self._record = record.load()
        self._engine = None  # a ddi.Engine, where one says which release is meant for this board
        if self._config["ddi"]:
            from ..fleet import ddi

            self._engine = ddi.Engine(self._config, self._slots.running, self._record)  # type: ignore

    def steps(self, waits: bool = False):
        """Look, install, switch. Raises OtaError; why there was no update outlives a reset (P10). `waits`: no program stands still
        meanwhile, so that its server may hold back the answer to the look."""
        try:
            if self._config["data"] or self._record.job.get("data"):
                from . import staged  # before anything else takes the place of a release that is confirmed

                staged.place(self._slots, self._record, self._view)
                let_go("staged")
            # There, whatever it is: the look's connection may serve for the image. Its value net/checkin.py tells the server.
            self._config["keep"] = waits
            found = yield from patiently(self._tries, self.look, lambda: 0)
            if self._engine:
                yield from self._engine.begins(found[0]["version"])
                self._engine = None
            yield from self._install(*found)
            self._record.note("refused", None)
        except Exception as e:
            why = coded(e)
            said = None if why.code == "up-to-date" else [why.code, why.detail[:40]]
            self._record.note("refused", said)
            if self._engine:
                yield from self._engine.answer(why)
            raise why
        finally:
            connection.kept()

    def look(self):
        """Steps that return what one look has found: offer, demand and data, as look.Look has them. Raises OtaError with
        why this board refuses the newest release."""
        from .look import Look

        made = Look(self._config, self._slots, self._record, self._view, self._engine)
        yield from made.steps()
        let_go("look")
        return made.offer, made.demand, made.data

    def _install(self, offer: dict, demand, data):
        from . import job

        found = job.Job(self._config, self._slots, self._record, self._view, demand)
        try:
            yield from found.steps(offer, data)
        except Exception:
            let_go(*_OF_A_JOB)
            steps.astray = True  # whatever a server asks for: a job has written NVS, and most often flash
            raise


def line(step) -> None:
    """For a console: every twentieth of a phase."""
    if step.total and step.done * 20 // step.total != (step.done - slots.SECTOR) * 20 // step.total:
        say(step.phase, f"{step.done}/{step.total}")
