"""server: it answers over verified TLS, with this firmware's TLS and clock."""

from .. import steps
from ..net import link


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    response = steps.run(link.fetch(config, config["url"]), limit_ms)
    if response is None:
        return False
    response.close()
    return True
