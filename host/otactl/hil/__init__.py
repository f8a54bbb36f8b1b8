"""Hardware-in-the-loop tests: what the suite (tests/hil) does to a board, runs of it, and what came of them."""
