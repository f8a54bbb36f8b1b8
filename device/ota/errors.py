"""The one exception of the agent. `code` is short and stable: it outlives a reset, and the host has the
sentence for people. `detail` is one short fact: a number, a name."""


class OtaError(Exception):
    def __init__(self, code: str, detail: object = "") -> None:
        super().__init__(code, str(detail))
        self.code, self.detail = code, str(detail)

    def __str__(self) -> str:
        return f"{self.code} {self.detail}".rstrip()


def require(good: object, code: str, detail: object = "") -> None:
    """Raise OtaError unless `good`."""
    if not good:
        raise OtaError(code, detail)
