"""The two lines by which a board's boot.py and main.py call the agent: are they there, and what to add."""

LINES = {  # where the agent is damaged, or half deployed, the program starts all the same
    "boot.py": ("try: import ota.boot; ota.boot.start()", "except Exception as e: print(e)"),
    "main.py": ("try: from ota import agent; agent.start()", "except Exception as e: print(e)"),
}
WITHOUT = {  # what comes of it
    "boot.py": "a new release that hangs before main.py is not ended by the watchdog",
    "main.py": "the trial of a new release cannot pass: it ends in `deadline`, or goes back at the next reset",
}
# for the board: whether a file calls the agent; None where it is not there. Bytes, as MicroPython runs what is no UTF-8 too
CALLS = """
def _calls(path):
    names = starts = False
    try:
        with open(path, "rb") as f:
            for line in f:
                line = line.split(b"#")[0]
                names = names or b"import ota" in line or b"from ota" in line
                starts = starts or b"start(" in line
    except OSError:
        return None
    return names and starts
"""


def advice(name: str) -> str:
    """What a person whose file lacks the lines reads, from `deploy` and from `update` alike."""
    first, second = LINES[name]
    return f"{name} does not call the agent: {WITHOUT[name]}. Put `{first}` and, below it, `{second}` at its top"


def refusal(device: str, there: bool) -> str:
    """Why no update begins on a board without `agent.start()`; `there`: it has a main.py."""
    if not there:
        return f"the board at {device} has no main.py: {WITHOUT['main.py']}. `otactl deploy` puts one there"
    return f"{advice('main.py')}; where a module of yours makes the call, go on with --anyway"
