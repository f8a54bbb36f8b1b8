"""The two lines by which a board's boot.py and main.py call the agent: are they there, and what to add."""

from hashlib import sha256

LINES = {  # where the agent is damaged, or half deployed, the program starts all the same
    "boot.py": ("try: import ota.boot; ota.boot.start()", "except Exception as e: print(e)"),
    "main.py": ("try: from ota import agent; agent.start()", "except Exception as e: print(e)"),
}
WITHOUT = {  # what comes of it
    "boot.py": "a new release that hangs before main.py is not ended by the watchdog",
    "main.py": "the trial of a new release cannot pass: it ends in `deadline`, or goes back at the next reset",
}
_PORTS_OWN = "on every boot"  # in the first line of the boot.py that a new board has; other comments are the user's
_OURS_BEFORE = (  # SHA-256 of the hooks of 0.1.0, which caught too little: they give way
    "674b13f3acd25af339b79b20229c6c7eac0cc344fffdc52a3d7de47aa5600223",
    "68503d7c03cd07f1e38861e1cb63e5e5eb525cffedacde096c59e08849dbc5b0",
    "493d73f23753cbc711af2686fcb4fcc4e110f4d7f93896f33f14b1953ee3a682",  # boot.py without applications
)
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


def gives_way(text: str) -> bool:
    """Whether a boot.py or main.py of that text is replaced: empty, one of ours before, or the port's own."""
    if sha256(text.encode()).hexdigest() in _OURS_BEFORE or not text.strip():
        return True
    return not code(text) and _PORTS_OWN in text.splitlines()[0]


def code(text: str) -> list[str]:
    """The lines that are neither blank nor a comment."""
    return [line for line in text.splitlines() if line.strip() and line[:1] != "#"]
