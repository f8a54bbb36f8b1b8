"""filesystem: a file can be written, read back and removed, and enough room is left."""

import os

from ..errors import require


def passes(config: dict, check: dict, limit_ms: int) -> bool:
    path = check["path"].rstrip("/") + "/.ota-check"
    with open(path, "w") as f:
        f.write("ok")
    with open(path) as f:
        read = f.read()
    os.remove(path)
    block, _, _, free = os.statvfs(check["path"])[:4]
    require(read == "ok" and block * free >= check["free"], "filesystem", block * free)
    return True
