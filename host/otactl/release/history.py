"""Which releases each channel has named, in their order, and which were withdrawn: channels.json of the workspace."""

import json

from otactl.errors import UsageError
from otactl.files import write_atomic
from otactl.workspace.workspace import Workspace


class History:
    """Read when made; what is noted counts once it is saved. Raises UsageError where the file is damaged."""

    def __init__(self, place: Workspace, guess: dict[str, list[str]]) -> None:
        """`guess`: the versions of each channel, oldest first, of a workspace from before this file was kept."""
        self._path = place.root / "channels.json"
        self._channels: dict[str, list[str]] = {}
        self.withdrawn: list[str] = []
        try:
            raw = json.loads(self._path.read_text())
            self._channels = {str(name): [str(one) for one in found] for name, found in raw["channels"].items()}
            self.withdrawn = [str(one) for one in raw["withdrawn"]]
        except FileNotFoundError:
            self._channels = guess
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"{self._path} is damaged ({error}): bring it back, or remove it") from None

    def before(self, channel: str, version: str) -> str | None:
        """What the channel named before `version` and may name again."""
        for one in reversed(self._channels.get(channel, [])):
            if one != version and one not in self.withdrawn:
                return one
        return None

    def last(self, channel: str, count: int) -> list[str]:
        """What the channel has named last, the newest first: boards may run withdrawn ones still."""
        return self._channels.get(channel, [])[-count:][::-1]

    def names(self, channel: str, version: str) -> None:
        """The channel names this release now."""
        known = self._channels.setdefault(channel, [])
        self._channels[channel] = [one for one in known if one != version] + [version]
        self.withdrawn = [one for one in self.withdrawn if one != version]

    def withdraw(self, version: str) -> None:
        if version not in self.withdrawn:
            self.withdrawn.append(version)

    def save(self) -> None:
        raw = {"channels": self._channels, "withdrawn": self.withdrawn}
        write_atomic(self._path, json.dumps(raw, indent=1).encode() + b"\n")
