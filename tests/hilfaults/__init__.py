"""Agents, boards and rigs with a fault each, which the HIL suite must find: tests/board/test_hil.py."""
