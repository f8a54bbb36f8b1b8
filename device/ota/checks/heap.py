"""heap: enough bytes are free after a collection."""

import gc

from ..errors import require


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    gc.collect()
    require(gc.mem_free() >= check["free"], "heap", gc.mem_free())
    return True
