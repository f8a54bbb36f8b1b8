"""One line on the console for each event, for `otactl` and for people."""


def say(event: str, *facts: object) -> None:
    print("ota:", event, *[f for f in facts if f not in (None, "")])
