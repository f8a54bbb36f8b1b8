"""Ethernet instead of Wi-Fi, and beside it."""

import rig as rigs
from rig import NEW, Rig, boots, started
from vboard.flash.otadata import State

PHY = {"phy": "LAN8720", "mdc": 23, "mdio": 18, "phy_addr": 1, "ref_clk": 17, "ref_clk_mode": "out"}


def test_update_over_ethernet_alone(rig: Rig) -> None:
    rig.network.ethernet = True
    rig.network.access_points.clear()
    board = rig.board()
    board.power_on()
    rigs.configure(board, wifi=None, ethernet=PHY)
    rig.publish("1.1.0", NEW)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.1.0", 60, since=seen)
    assert boots(board) == ("ota_1", State.VALID)


UPDATE = """
from ota import agent
class Kept:
    reset = staticmethod(lambda: None)
agent.machine = Kept
agent.update(lambda *_: None)
"""


def test_update_by_cable_leaves_the_radio_its_memory(rig: Rig) -> None:
    rig.network.ethernet = True
    board = rig.board()
    board.power_on()
    rigs.configure(board, ethernet=PHY)  # beside Wi-Fi
    seen = len(board.text)
    board.reset()  # what ran before took Wi-Fi
    board.wait_text("ota: up-to-date 1.0.0", 40, since=seen)
    rig.publish("1.1.0", NEW)
    assert "ota: switch 1.1.0" in rigs.ask(board, UPDATE, 60)
    assert board.soc
    assert not board.soc.heap.wifi


def test_wifi_where_the_cable_is_out(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("app: runs")
    rigs.configure(board, ethernet=PHY, join_timeout_s=3)
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: up-to-date 1.0.0", 40, since=seen)


def test_settings_that_the_chip_refuses_are_named(rig: Rig) -> None:
    board = started(rig.board())
    board.wait_text("app: runs")
    rigs.configure(board, wifi=None, ethernet={"phy": "LAN9999", "mdc": 23, "mdio": 18})
    seen = len(board.text)
    board.reset()
    board.wait_text("ota: error ethernet-config", 30, since=seen)
    board.wait_text("app: runs", 20, since=seen)
