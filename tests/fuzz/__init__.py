"""Fuzzing: every parser of the agent is fed any bytes, in CPython guided by coverage, and in MicroPython on a board's heap.

parsers.py, network.py   each parser behind one call, in the Python that both interpreters know
loading.py               the agent's code in CPython, with MicroPython's modules as far as parsers need them
oracles.py               what somebody else says of the same bytes
corpus/                  seeds, a folder for each parser
__main__.py, one.py      `make fuzz`
onboard.py               the same parsers on a virtual board, held against what CPython came to
"""
