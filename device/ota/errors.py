"""The one exception of the agent.

`code` is short and stable: it is kept across a reset and shown on the host, which has the
sentence for people. `detail` is one short fact: a number, a name.
"""


class OtaError(Exception):
    def __init__(self, code: str, detail: object = "") -> None:
        detail = str(detail)
        super().__init__(code, detail)
        self.code = code
        self.detail = detail

    def __str__(self) -> str:
        return self.code + " " + self.detail if self.detail else self.code
