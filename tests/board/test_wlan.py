"""What network.WLAN and network.LAN answer, call by call: facts 10.11, micropython#17661 and the esp32 port's source."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from rig import ask
from vboard.board import Board
from vboard.link.wlan import Network

START = (
    "import network, time\nw = network.WLAN(network.STA_IF)\nw.active(True)\n"
    "def join(ssid='virtual', key='password'):\n"
    "    try: return w.connect(ssid, key)\n"
    "    except OSError as e: return e\n"
    "def joined(ms=3000):\n"
    "    while ms > 0 and not w.isconnected():\n        time.sleep_ms(10)\n        ms -= 10\n"
    "    return w.isconnected()\n"
)


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with Board(tmp_path / "board", network=Network(join_s=0.2, switch_s=0.4)) as made:
        made.power_on()
        made.wait_repl()
        yield made


def says(board: Board, code: str, start: str = START) -> str:
    return ask(board, start + code).strip().replace("\r", "")


FACTS_10_11 = {
    "connect": ("print(join(), joined())", "None True"),
    "connect again at once, while connecting": (
        "join()\nprint(repr(join()), w.status())",
        "OSError('Wifi Internal Error',) 1001",
    ),
    "connect when connected, same network": ("join(); joined()\nprint(join(), w.isconnected())", "None True"),
    "disconnect: isconnected right after is still true": (
        "join(); joined()\nprint(w.disconnect(), w.isconnected())\ntime.sleep(0.1)\nprint(w.isconnected(), w.status())",
        "None True\nFalse 1000",
    ),
    "connect right after disconnect joins": (
        "join(); joined(); w.disconnect()\nprint(join())\ntime.sleep(0.1)\nprint(w.isconnected(), joined())",
        "None\nFalse True",
    ),
    "connect to an absent network from the old one": (
        (
            "join(); joined()\nprint(join('gone'))\ntime.sleep(0.1)\nprint(w.status())\ntime.sleep(0.9)\n"
            "print(w.isconnected(), w.status())"
        ),
        "None\n1010\nFalse 201",
    ),
}
SOURCE = {
    "an inactive interface": ("w.active(False)\nprint(repr(join()))", "OSError('Wifi Invalid Mode',)"),
    "active twice": ("print(w.active(True), w.active(True), w.active())", "True True True"),
    "nothing asked for": ("print(w.status(), w.isconnected())", "1000 False"),
    "the network asked for": ("join()\nprint(w.config('ssid'), w.config('essid'))", "virtual virtual"),
    "a refused station goes on trying, so connect raises": (
        "join('gone')\ntime.sleep(0.7)\nprint(w.status(), repr(join()))",
        "201 OSError('Wifi Internal Error',)",
    ),
    "reconnects ends the trying": (
        (
            "w.config(reconnects=1)\nprint(w.config('reconnects'))\njoin('gone')\ntime.sleep(1)\n"
            "print(w.status(), repr(join()))"
        ),
        "1\n201 None",
    ),
    "connect right after disconnect joins, whatever reconnects says": (
        "w.config(reconnects=0)\njoin(); joined(); w.disconnect()\nprint(join(), time.sleep(0.1), joined())",
        "None None True",
    ),
    "disconnect ends the trying": (
        "join('gone')\ntime.sleep(0.5)\nw.disconnect()\ntime.sleep(0.1)\nprint(w.status(), join(), joined())",
        "1000 None True",
    ),
    "wrong password": ("join('virtual', 'other')\ntime.sleep(0.4)\nprint(w.status())", "202"),
    "signal strength of nothing": (
        "try: w.status('rssi')\nexcept OSError as e: print(repr(e))",
        "OSError('Wifi Not Connected',)",
    ),
    "scan while joining finds nothing": ("print(len(w.scan()))\njoin('gone')\nprint(w.scan())", "1\n[]"),
}
CALLS = FACTS_10_11 | SOURCE


@pytest.mark.parametrize(("code", "answer"), CALLS.values(), ids=CALLS)
def test_station_answers_as_on_the_chip(board: Board, code: str, answer: str) -> None:
    assert says(board, code) == answer


def test_wrong_password_of_most_routers_is_a_handshake_that_times_out(board: Board) -> None:
    """Reason 15 is none that status() names while the station goes on trying: 1001 for ever (network_wlan.c)."""
    board.network.wrong_password = 15
    tries = "join('virtual', 'other')\ntime.sleep(0.6)\nprint(w.status())"
    assert says(board, tries) == "1001"
    assert says(board, "w.disconnect()\ntime.sleep(.1)\nw.config(reconnects=0)\n" + tries) == "15"


def test_lost_link_comes_back_by_itself_and_connect_raises_meanwhile(board: Board) -> None:
    assert says(board, "join()\nprint(joined())") == "True"
    board.drop_wifi(1.0)
    lost = "print(w.isconnected(), repr(join()))\nprint(joined())"
    assert says(board, lost) == "False OSError('Wifi Internal Error',)\nTrue"


def test_soft_reset_leaves_the_link_up(board: Board) -> None:
    """main.c's soft reset does not touch Wi-Fi, in no version from 1.23 to 1.28."""
    assert says(board, "join()\nprint(joined())") == "True"
    assert says(board, "import machine\nmachine.soft_reset()", "") == ""
    board.wait_repl()
    again = "import network\nw = network.WLAN(0)\nprint(w.isconnected(), w.config('ssid'), w.connect('virtual', 'password'))"
    assert says(board, again, "") == "True virtual None"


def test_reset_takes_the_link_down(board: Board) -> None:
    assert says(board, "join()\nprint(joined())") == "True"
    board.reset()
    board.wait_repl()
    assert (
        says(board, "import network\nprint(network.WLAN(0).active(), network.WLAN(0).isconnected())", "")
        == "False False"
    )


LAN = (
    "import network, time\ndef lan(**kw):\n    return network.LAN(mdc=23, mdio=18, phy_addr=1, phy_type=network.PHY_LAN8720, **kw)\n"
    "def up(l, ms=3000):\n"
    "    while ms > 0 and not l.isconnected():\n        time.sleep_ms(10)\n        ms -= 10\n    return l.isconnected()\n"
)
ETHERNET: dict[str, tuple[Callable[[Board], object], str, str]] = {
    "comes up": (
        lambda board: None,
        (
            "l = lan()\nprint(l.status(), l.active(), l.isconnected())\nl.active(True)\nprint(up(l), l.status())\n"
            "print(l.ifconfig(), l.ipconfig('addr4'), l.ipconfig('gw4'), len(l.config('mac')))\n"
            "l.active(False)\nprint(l.status(), l.isconnected())"
        ),
        (
            "0 False False\nTrue 5\n"
            "('10.0.0.3', '255.255.255.0', '10.0.0.1', '10.0.0.1') ('10.0.0.3', '255.255.255.0') 10.0.0.1 6\n2 False"
        ),
    ),
    "no cable": (
        lambda board: setattr(board.network, "ethernet", False),
        "l = lan()\nl.active(True)\nprint(up(l, 500), l.status())",
        "False 1",
    ),
    "the second call gives the first's object": (
        lambda board: None,
        "a = lan()\nb = network.LAN(phy_type=99)\nprint(a is b)",
        "True",
    ),
    "wrong arguments": (
        lambda board: None,
        (
            "for kw in ({'phy_addr': 40, 'phy_type': 0}, {'phy_addr': 0, 'phy_type': 50}, {'phy_addr': 0, 'phy_type': 1}):\n"
            "    try: network.LAN(**kw)\n    except ValueError as e: print(e)"
        ),
        "invalid phy address\ninvalid phy type\nmdc and mdio must be specified",
    ),
    "a name over the cable": (
        lambda board: board.network.hosts.update(there="10.0.0.9"),
        "import socket\nl = lan()\nl.active(True)\nup(l)\nprint(socket.getaddrinfo('there', 80)[0][-1])",
        "('10.0.0.9', 80)",
    ),
    "Wi-Fi's address event is taken for an Ethernet start": (
        lambda board: None,
        (
            "l = lan()\nl.active(True)\nprint(up(l))\nw = network.WLAN(0)\nw.active(True)\nw.connect('virtual', 'password')\n"
            "while not w.isconnected(): time.sleep_ms(10)\nprint(l.status(), l.isconnected())"
        ),
        "True\n1 False",
    ),
}


@pytest.mark.parametrize(("situation", "code", "answer"), ETHERNET.values(), ids=ETHERNET)
def test_ethernet(board: Board, situation: Callable[[Board], object], code: str, answer: str) -> None:
    board.network.ethernet = True
    situation(board)
    assert says(board, code, LAN) == answer


def test_other_chips_have_no_mac_for_an_rmii_phy(tmp_path: Path) -> None:
    """network_lan.c makes those only for CONFIG_IDF_TARGET_ESP32; without a MAC the driver is not installed."""
    with Board(tmp_path, chip="esp32s3", network=Network(ethernet=True)) as board:
        board.power_on()
        board.wait_repl()
        code = "try: lan()\nexcept OSError as e: print(e)"
        assert says(board, code, LAN) == "esp_eth_driver_install failed with invalid argument"
