"""One parser under libFuzzer, in a process of its own: python -m fuzz.one PARSER [libFuzzer's options and folders]."""

import sys

import atheris  # type: ignore[import-untyped,import-not-found,unused-ignore]

from fuzz import loading

with atheris.instrument_imports(include=["ota"]):
    parsers = loading.load()
from fuzz import oracles


def main(name: str) -> None:
    parser = parsers.PARSERS[name]

    def one_input(data: bytes) -> None:
        oracles.check(name, data, parsers.outcome(parser, data))

    with loading.in_place():
        atheris.Setup([sys.argv[0], *sys.argv[2:]], one_input)
        atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1])
