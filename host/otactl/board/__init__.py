"""Boards: their port and REPL, the agent on them, their updates."""
