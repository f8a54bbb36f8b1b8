"""device/ota/config.py: what is filled in, and that every mistake is named."""

import json
from pathlib import Path
from typing import Any

import pytest
from otactl.board import agent
from otactl.errors import UsageError

from .conftest import Run

LEAST = {"url": "https://host:8443/stable.json", "product": "demo"}

LOAD = """
    from ota import config
    print(json.dumps(attempt(config.load, args["path"])))
"""


@pytest.fixture
def load(mpy: Run, tmp_path: Path) -> Any:
    def run(content: Any) -> Any:
        path = tmp_path / "config.json"
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return mpy(LOAD, path=str(path))

    return run


def test_two_lines_are_enough(load: Any) -> None:
    assert load(LEAST) == {
        "ok": {
            **LEAST,
            "wifi": [],
            "ca": "/etc/ota/ca.pem",
            "keys": "/etc/ota/keys.json",
            "trust": True,
            "deltas": True,
            "compressed": False,
            "checkin": True,
            "freq_mhz": None,
            "data": None,
            "allow_http": False,
            "interval_s": 3600,
            "jitter_s": 600,
            "ethernet": None,
            "image_signature": None,
            "client": None,
            "ddi": None,
            "encryption": None,
            "pins": None,
            "start_timeout_s": 60,
            "join_timeout_s": 20,
            "connect_timeout_s": 15,
            "read_timeout_s": 20,
            "tries": 5,
            "hostname": None,
            "ntp_host": "pool.ntp.org",
            "trial": {
                "deadline_s": 180,
                "watchdog_s": 30,
                "settle_s": 10,
                "checks": [
                    {"check": "wifi", "timeout_s": 60},
                    {"check": "server", "timeout_s": 60},
                ],
            },
        }
    }


@pytest.mark.parametrize(
    ("wifi", "filled"),
    [
        (None, []),
        ([], []),
        ({}, []),
        ({"ssid": "a", "password": "secret12"}, [{"ssid": "a", "password": "secret12"}]),
        ({"ssid": "open"}, [{"ssid": "open", "password": None}]),
        (
            [{"ssid": "a", "password": ""}, {"ssid": "b"}],
            [{"ssid": "a", "password": ""}, {"ssid": "b", "password": None}],
        ),
    ],
)
def test_wifi_is_one_network_or_many(wifi: Any, filled: Any, load: Any) -> None:
    assert load({**LEAST, "wifi": wifi})["ok"]["wifi"] == filled


def test_certificates_of_server_and_board_are_filled_in(load: Any) -> None:
    got = load({**LEAST, "pins": ["AB" * 32], "client": {}})["ok"]
    assert got["pins"] == ["ab" * 32]
    assert got["client"] == {"cert": "/etc/ota/client.der", "key": "/etc/ota/client.key"}


@pytest.mark.parametrize(
    ("check", "filled"),
    [
        ({"check": "wifi", "timeout_s": 5}, {"timeout_s": 5}),
        ({"check": "server", "timeout_s": 0.5}, None),
        ({"check": "healthy"}, {"timeout_s": 60}),
        (
            {"check": "gpio", "pin": 4, "level": 1},
            {"pin": 4, "level": 1, "hold_s": 1, "pull": None, "timeout_s": 60},
        ),
        (
            {"check": "gpio", "pin": "D4", "level": 0, "hold_s": 5, "pull": "up"},
            {"pin": "D4", "level": 0, "hold_s": 5, "pull": "up", "timeout_s": 60},
        ),
        ({"check": "heap", "free": 20000}, {"free": 20000}),
        ({"check": "filesystem"}, {"path": "/", "free": 0}),
        ({"check": "import", "module": "app"}, {"module": "app"}),
        (
            {"check": "call", "function": "app.test:run"},
            {"function": "app.test:run", "timeout_s": 60},
        ),
    ],
)
def test_checks_are_filled_in(check: Any, filled: Any, load: Any) -> None:
    got = load({**LEAST, "trial": {"checks": [check]}})
    if filled is None:
        assert got == {"code": "config-invalid", "detail": "trial.checks[0].timeout_s"}
    else:
        assert got["ok"]["trial"]["checks"] == [{"check": check["check"], **filled}]


def trial(**fields: Any) -> dict[str, Any]:
    return {"trial": fields}


def a_check(**fields: Any) -> dict[str, Any]:
    return trial(checks=[{"check": "wifi"}, fields])


MISTAKES: list[tuple[dict[str, Any], str]] = [
    ({"url": None}, "url"),
    ({"url": 5}, "url"),
    ({"url": "host/stable.json"}, "url"),
    ({"url": "ftp://host/x"}, "url"),
    ({"product": ""}, "product"),
    ({"product": "p" * 65}, "product"),
    ({"allow_htttp": True}, "allow_htttp"),
    ({"allow_http": "yes"}, "allow_http"),
    ({"allow_http": 1}, "allow_http"),
    ({"allow_http": None}, "allow_http"),
    ({"interval_s": "3600"}, "interval_s"),
    ({"interval_s": 0}, "interval_s"),
    ({"interval_s": True}, "interval_s"),
    ({"interval_s": 2.5}, "interval_s"),
    ({"jitter_s": -1}, "jitter_s"),
    ({"read_timeout_s": 0}, "read_timeout_s"),
    ({"connect_timeout_s": None}, "connect_timeout_s"),
    ({"tries": 0}, "tries"),
    ({"hostname": "h" * 33}, "hostname"),
    ({"hostname": 5}, "hostname"),
    ({"ntp_host": []}, "ntp_host"),
    ({"wifi": "ssid"}, "wifi"),
    ({"wifi": {"password": "x"}}, "wifi[0].ssid"),
    ({"wifi": ["ssid"]}, "wifi[0].not an object"),
    ({"wifi": [{"ssid": "a"}, {"ssid": ""}]}, "wifi[1].ssid"),
    ({"wifi": {"ssid": "a", "pasword": "x"}}, "wifi[0].pasword"),
    ({"wifi": {"ssid": "a", "password": 12345678}}, "wifi[0].password"),
    ({"pins": []}, "pins"),
    ({"pins": "ab" * 32}, "pins"),
    ({"pins": ["ab" * 32, "ab" * 31]}, "pins[1]"),
    ({"pins": ["xy" * 32]}, "pins[0]"),
    ({"pins": [5]}, "pins[0]"),
    ({"pins": ["ab" * 32] * 9}, "pins"),
    ({"ddi": {"url": "ftp://engine.test"}}, "ddi.url"),
    ({"ddi": {"url": "https://engine.test", "token": "t" * 33}}, "ddi.token"),
    ({"ddi": {"url": "https://engine.test", "token": "a\r\nHost: b"}}, "ddi.token"),
    ({"ddi": {"url": "https://engine.test", "id": "lamp/../hall"}}, "ddi.id"),
    ({"ddi": {"url": "https://engine.test", "tenant": ""}}, "ddi.tenant"),
    ({"client": "client.pem"}, "client"),
    ({"client": {"certificate": "x"}}, "client.certificate"),
    ({"client": {"key": ""}}, "client.key"),
    ({"trial": None}, "trial"),
    (trial(deadline=5), "trial.deadline"),
    (trial(deadline_s=5), "trial.deadline_s"),
    (trial(watchdog_s="30"), "trial.watchdog_s"),
    (trial(deadline_s=30, settle_s=30), "trial.settle_s"),
    (trial(checks={}), "trial.checks"),
    (trial(checks=["wifi"]), "trial.checks[0].check"),
    (trial(checks=[{}]), "trial.checks[0].check"),
    (trial(checks=[{"check": []}]), "trial.checks[0].check"),
    (a_check(check="wlan"), "trial.checks[1].check"),
    (a_check(check="wifi", time_s=5), "trial.checks[1].time_s"),
    (a_check(check="wifi", timeout_s="5"), "trial.checks[1].timeout_s"),
    (a_check(check="gpio", level=1), "trial.checks[1].pin"),
    (a_check(check="gpio", pin=4), "trial.checks[1].level"),
    (a_check(check="gpio", pin=4, level=2), "trial.checks[1].level"),
    (a_check(check="gpio", pin=4, level=1, pull="UP"), "trial.checks[1].pull"),
    (a_check(check="gpio", pin=4, level=1, pull=5), "trial.checks[1].pull"),
    (a_check(check="heap"), "trial.checks[1].free"),
    (a_check(check="filesystem", free="1"), "trial.checks[1].free"),
    (a_check(check="import"), "trial.checks[1].module"),
    (a_check(check="call", function="app.run"), "trial.checks[1].function"),
    (a_check(check="call", function=":run"), "trial.checks[1].function"),
]


@pytest.mark.parametrize(("change", "where"), MISTAKES, ids=[f"{c}" for c, _ in MISTAKES])
def test_a_mistake_is_named(change: dict[str, Any], where: str, load: Any) -> None:
    assert load({**LEAST, **change}) == {"code": "config-invalid", "detail": where}


@pytest.mark.parametrize("name", ["url", "product"])
def test_what_must_be_there_is_named(name: str, load: Any) -> None:
    got = load({k: v for k, v in LEAST.items() if k != name})
    assert got == {"code": "config-invalid", "detail": name}


@pytest.mark.parametrize(
    ("content", "code"),
    [
        ("", "config-not-json"),
        ('{"url": ', "config-not-json"),
        ("not json", "config-not-json"),
        ("[]", "config-invalid"),
        ("null", "config-invalid"),
    ],
)
def test_what_is_no_configuration_is_refused(content: str, code: str, load: Any) -> None:
    assert load(content)["code"] == code


def test_a_missing_file_is_named(mpy: Run) -> None:
    got = mpy(LOAD, path="nowhere.json")
    assert got == {"code": "config-missing", "detail": "nowhere.json"}


def test_defaults_are_not_shared_between_loads(mpy: Run) -> None:
    script = """
        from ota import config
        first = config.check(dict(args["raw"]))
        first["trial"]["checks"][0]["timeout_s"] = 1
        first["trial"]["checks"].append(5)
        print(json.dumps(config.check(dict(args["raw"]))["trial"]["checks"]))
    """
    assert mpy(script, raw=LEAST) == [
        {"check": "wifi", "timeout_s": 60},
        {"check": "server", "timeout_s": 60},
    ]


LONG = "\xfc" * 17  # 34 bytes; MicroPython takes 32
JOINS = """
    import sys
    class Station:
        connects = False
        def isconnected(self):
            return self.connects
        def connect(self, *_):
            self.connects = True
        def status(self, *_):
            return 0
        active = status
    class Lan(Station):
        def __init__(self, **_):
            pass
        def active(self, on=None):
            self.connects = True
        def ifconfig(self):
            return ("10.0.0.2",)
    class network:
        STA_IF = STAT_CONNECTING = 1
        PHY_X = 0
        LAN = Lan
        WLAN = staticmethod(lambda _: Station())
        def hostname(name):
            asked.append(name)
            raise ValueError
    sys.modules["network"] = network
    sys.modules["machine"] = network
    from ota import steps
    from ota.net import ethernet, wifi
    asked, one = [], {"ssid": "here", "password": None}
    pins = dict.fromkeys(("mdc", "mdio", "ref_clk", "cs", "int", "power", "reset", "ref_clk_mode", "spi"))
    ways = [wifi.join([one], args["name"], 10), ethernet.join(dict(pins, phy="X", phy_addr=0), args["name"], 10)]
    print(json.dumps([[attempt(lambda: steps.run(way)), len(asked)] for way in ways]))
"""


def test_a_name_that_the_network_does_not_take_keeps_no_board_from_it(load: Any, mpy: Run) -> None:
    assert load({**LEAST, "hostname": LONG})["ok"]["hostname"] == LONG
    assert mpy(JOINS, name=LONG) == [[{"ok": None}, 1], [{"ok": None}, 2]]


def test_deploy_refuses_a_name_that_the_network_does_not_take() -> None:
    agent.check_config({**LEAST, "hostname": LONG[:16]}, "otactl.toml")
    with pytest.raises(UsageError, match="hostname is wrong"):
        agent.check_config({**LEAST, "hostname": LONG}, "otactl.toml")
