"""One update, and power gone at each of its flash operations: what boots, and how it ends.

scenarios.py lists what is updated, stage.py runs a board from a state of its flash, cuts.py makes
the states that cuts leave, oracle.py judges what was seen, planner.py does it for all of them,
report.py writes down how it went.
"""
