"""The board's Wi-Fi station. Source: ports/esp32/network_wlan.c; what the closed Wi-Fi library does, facts 10.11.

state      when its time has come                                          connect() in it
OFF        -                                                               raises Wifi Invalid Mode
IDLE       -                                                               JOINING
JOINING    UP, or refused: JOINING again while `reconnects` allows, else IDLE  raises Wifi Internal Error
UP         -  (JOINING when the network is lost)                           UP; to another network: SWITCHING
SWITCHING  the old link breaks: JOINING                                    raises Wifi Internal Error
LEAVING    the link breaks: IDLE; after a connect(): JOINING               once; then Wifi Internal Error
"""

import random
import threading
import time
from typing import Any

from vboard.link.network import GATEWAY, STATION_ADDRESS, Network

IDLE, CONNECTING, GOT_IP = 1000, 1001, 1010  # what status() says; or one of the reasons below
BEACON_TIMEOUT, NO_AP_FOUND, WRONG_PASSWORD, CONNECTION_FAIL, ASSOC_LEAVE = 200, 201, 202, 205, 8
_TOLD = (NO_AP_FOUND, 210, 211, 212)  # reasons that status() gives also while the station goes on trying
_SHORTEST_TRY_S = 0.02


class Station:
    """`network.WLAN(STA_IF)`. What has happened since is worked out when somebody asks; any thread may."""

    address = STATION_ADDRESS

    def __init__(self, network: Network, mac: bytes, *, broken: bool = False) -> None:
        """`broken`: this firmware's radio never finds a network (a fault that a test image carries)."""
        self.network = network
        self.mac = mac
        self.got_ip = 0  # how often it got an address
        self._epoch = 0
        self._broken = broken
        self._lock = threading.RLock()
        self._state = "OFF"
        self._due = 0.0  # when the state is over, for those that end by themselves
        self._away_until = 0.0  # the network cannot be heard before
        self._asked = ("", "")  # network and password of the last connect()
        self._joined = ("", "")
        # as network_wlan.c keeps them
        self._connected = False
        self._requested = False
        self._reason = 0
        self._limit = 0  # of tries, 0 for ever: `reconnects` and one
        self._tries = 0
        self._settings: dict[str, Any] = {"pm": 1, "txpower": 20, "channel": 1}

    # --- what happens by itself -----------------------------------------------------------------------------------

    def _catch_up(self) -> None:
        now = time.monotonic()
        while True:
            if self._state == "UP" and self._refusal(self._joined, now):
                self._lost(BEACON_TIMEOUT, now)
            elif self._state in ("JOINING", "SWITCHING", "LEAVING") and now >= self._due:
                self._over(self._due)
            else:
                return

    def _over(self, at: float) -> None:
        """The time of a state has come."""
        if self._state != "JOINING":
            asked_again = self._requested
            self._lost(ASSOC_LEAVE, at)
            if asked_again and self._state == "IDLE":  # by connect(), which `reconnects` does not count
                self._join(at)
        elif refusal := self._refusal(self._asked, at):
            self._lost(refusal, at)
        else:
            self._state, self._joined = "UP", self._asked
            self._connected, self._reason = True, 0
            self.got_ip += 1

    def _refusal(self, asked: tuple[str, str], now: float) -> int:
        """Why the network does not take the station; 0 if it does."""
        points = self.network.access_points
        if self._broken or now < self._away_until or asked[0] not in points:
            return NO_AP_FOUND
        return 0 if points[asked[0]] == asked[1] else self.network.wrong_password

    def _lost(self, reason: int, at: float) -> None:
        """The event that the station is disconnected: network_wlan.c lets it try again at once."""
        if self._connected:
            self._epoch += 1
        self._connected, self._reason = False, reason
        self._state = "IDLE"
        if self._requested:
            self._tries += 1 if self._limit else 0
            if not self._limit or self._tries < self._limit:
                self._join(at)

    def _join(self, at: float) -> None:
        self._state, self._due = "JOINING", at + max(self.network.join_s, _SHORTEST_TRY_S)

    # --- what others want to know ---------------------------------------------------------------------------------

    @property
    def epoch(self) -> int:
        """Counts broken links: a connection of an older epoch is dead."""
        with self._lock:
            self._catch_up()
            return self._epoch

    @property
    def connected(self) -> bool:
        with self._lock:
            self._catch_up()
            return self._connected

    def drop(self, for_s: float) -> None:
        """Lose the link now; the network can be heard again after `for_s` seconds."""
        with self._lock:
            self._catch_up()
            now = time.monotonic()
            self._away_until = now + for_s
            if self._connected:
                self._lost(BEACON_TIMEOUT, now)
            else:
                self._epoch += 1

    def call(self, interface: int, verb: str, *args: Any) -> Any:
        """One method call of the WLAN object. Only the station has a link; the access point is there by name."""
        if interface == 1:
            return {"active": False, "isconnected": False, "ifconfig": ["0.0.0.0"] * 4}.get(verb)
        with self._lock:
            self._catch_up()
            return getattr(self, "_" + verb)(*args)

    # --- methods of network.WLAN ----------------------------------------------------------------------------------

    @property
    def active(self) -> bool:
        """Whether the radio is on."""
        return self._active()

    def _active(self) -> bool:
        return self._state != "OFF"

    def _activate(self, on: bool) -> bool:
        if on and self._state == "OFF":
            self._state, self._tries = "IDLE", 0
        elif not on and self._state != "OFF":
            self._requested = False
            self._lost(ASSOC_LEAVE, time.monotonic())
            self._state = "OFF"
        return on

    def _connect(self, ssid: str | None, key: str | None) -> None:
        if self._state == "OFF":
            raise OSError("Wifi Invalid Mode")
        if ssid is not None:  # taken also where connecting is refused: the next try is for it
            self._asked = (ssid, key or "")
        self._tries = 0
        now = time.monotonic()
        if self._state in ("JOINING", "SWITCHING") or (self._state == "LEAVING" and self._requested):
            raise OSError("Wifi Internal Error")
        self._requested = True
        if self._state == "IDLE":
            self._join(now)
        elif self._state == "UP" and self._asked != self._joined:
            self._state, self._due = "SWITCHING", now + self.network.switch_s

    def _disconnect(self) -> None:
        if self._state == "OFF":
            raise OSError("Wifi Not Started")
        self._requested = False
        self._state, self._due = "LEAVING", time.monotonic() + self.network.leave_s

    def _isconnected(self) -> bool:
        return self._connected

    def _status(self, what: str | None = None) -> int:
        if what == "rssi":
            if not self._connected:
                raise OSError("Wifi Not Connected")
            return -40 - random.randrange(20) if self.network.rssi is None else self.network.rssi
        if what is not None:
            raise ValueError("unknown status param")
        if self._connected:
            return GOT_IP
        if self._reason in _TOLD:
            return self._reason
        if self._reason in (WRONG_PASSWORD, CONNECTION_FAIL):
            return WRONG_PASSWORD
        if self._reason == ASSOC_LEAVE:
            return IDLE
        if self._requested and (not self._limit or self._tries < self._limit):
            return CONNECTING
        return self._reason or IDLE

    def _scan(self) -> list[str]:
        if self._state == "OFF":
            raise OSError("STA must be active")
        if self._broken or self._state in ("JOINING", "SWITCHING") or time.monotonic() < self._away_until:
            return []  # the port takes an error of the scan for no network
        return list(self.network.access_points)

    def _config(self, name: str) -> Any:
        if name == "mac":
            return list(self.mac)
        if name in ("ssid", "essid"):
            return self._asked[0]
        if name == "reconnects":
            return self._limit - 1
        return self._settings.get(name, 0)

    def _configure(self, name: str, value: Any) -> None:
        if name == "reconnects":
            self._limit = 0 if value == -1 else value + 1
        else:
            self._settings[name] = value

    def _ifconfig(self) -> list[str]:
        return [self.address, "255.255.255.0", GATEWAY, GATEWAY] if self._connected else ["0.0.0.0"] * 4
