"""wifi, network: an interface has an address."""

from .. import steps
from ..net import link


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    steps.run(link.join(config, limit_ms / 1000))
    return True
