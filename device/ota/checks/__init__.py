"""The checks of a trial. Each is a module with `passes(config, check)`: True when it has passed, False to be asked again,
an exception when it cannot pass any more. None may wait long by itself. Only what is configured is imported."""

import time

from ..entries import trial
from ..errors import OtaError

_OUTSIDE = ("wifi", "network", "server")  # what they need lies outside the board, and may come up again
_POLL_MS = 100


class CheckFailed(OtaError):
    """`network`: what failed may lie outside the board (P6)."""

    network = False


def run(config: dict, check: dict) -> None:
    """Ask a check until it passes, for at most its timeout_s. Raises CheckFailed check-… with why it did not."""
    name, began = check["check"], time.ticks_ms()
    module, outside = trial.MODULES.get(name, name), name in _OUTSIDE
    limit_ms = int(check.get("timeout_s", 1) * 1000)
    while True:
        why, last, network = "timeout", False, outside
        left_ms = limit_ms - time.ticks_diff(time.ticks_ms(), began)
        try:
            if __import__("ota.checks." + module, None, None, ("passes",)).passes(
                config, check, max(left_ms, _POLL_MS)
            ):
                return
        except OtaError as e:
            why, last = str(e), not outside
            network = outside and e.code != "no-memory"  # that is the release's own doing
        except Exception as e:
            why, last = f"{type(e).__name__} {e}", True
        if last or time.ticks_diff(time.ticks_ms(), began) > limit_ms:
            failure = CheckFailed("check-" + name, why)
            # A release whose own Wi-Fi or TLS is broken looks the same: it is tried again, at growing distances.
            failure.network = network
            raise failure
        time.sleep_ms(_POLL_MS)
