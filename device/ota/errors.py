"""The one exception of the agent. `code` is short and stable: it is kept across a reset and shown on the host, which
has the sentence for people. `detail` is one short fact: a number, a name. `wait_s` is what a busy server asked for."""


class OtaError(Exception):
    def __init__(self, code: str, detail: object = "", wait_s: int = 0) -> None:
        super().__init__(code, str(detail))
        self.code, self.detail, self.wait_s = code, str(detail), wait_s

    def __str__(self) -> str:
        return f"{self.code} {self.detail}".rstrip()


def require(good: object, code: str, detail: object = "") -> None:
    """Raise OtaError unless `good`."""
    if not good:
        raise OtaError(code, detail)
