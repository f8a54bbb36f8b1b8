"""The tests of somebody's project, for test_plugin_board.py, which runs them; each asserts for itself."""

import pytest
from otactl.errors import BoardError, RigError, UsageError
from otactl_pytest.reboots import Reboot


def test_exec_gives_what_is_printed(board):
    assert board.exec("for i in range(3): print(i)") == "0\r\n1\r\n2\r\n"


@pytest.mark.parametrize("value", [42, "a 'text'\n", b"\x00\xff", [1, (2, None)], {"a": 1.5}])
def test_eval_gives_plain_values(board, value):
    assert board.eval(repr(value)) == value


def test_eval_of_an_object_says_what_it_gave(board):
    with pytest.raises(BoardError, match="gave '<object>', which is no plain value: print what you need"):
        board.eval("object()")


def test_an_exception_on_the_board_is_the_tests_to_catch(board):
    with pytest.raises(BoardError, match="ZeroDivisionError"):
        board.exec("1/0")
    assert "ZeroDivisionError" in board.console.text


def test_names_stay_within_a_test(board):
    board.exec("x = 7")
    assert board.eval("x") == 7


def test_names_do_not_reach_the_next_test(board):
    with pytest.raises(BoardError, match="NameError"):
        board.eval("x")


def test_the_program_does_not_run_beside_a_test(board):
    assert board.eval("'app' in globals()") is False
    board.console.mark()
    board.exec("import time\ntime.sleep(0.3)")
    assert "app: runs" not in board.console.unwaited


def test_code_that_does_not_end_is_stopped_and_not_the_rigs_fault(board):
    with pytest.raises(BoardError, match="did not end within 1 s; Ctrl-C stopped it"):
        board.exec("while True: pass", timeout=1)
    assert board.eval("1 + 1") == 2


def test_code_that_reboots_the_board_is_not_the_rigs_fault(board):
    with pytest.raises(BoardError, match=r"rebooted while the code ran \(software\)"):
        board.exec("import machine\nmachine.reset()", timeout=1)
    board.expect_reboot("software", timeout=0)
    assert board.eval("1 + 1") == 2


@pytest.mark.parametrize("size", [0, 1, 1536, 5000])
def test_a_file_comes_back_as_it_was_put(board, size):
    data = bytes(i * 7 & 0xFF for i in range(size))
    board.put("/data/deep/blob", data)
    assert board.get("/data/deep/blob") == data


def test_folders_and_files_of_a_test_are_gone_after_it(board):
    assert sorted(board.eval("__import__('os').listdir()")) == ["boot.py", "main.py"]


def test_a_file_that_was_there_is_replaced_for_a_test(board):
    board.put("/main.py", "print('mine')\n")
    assert board.get("/main.py") == b"print('mine')\n"


def test_a_file_that_was_there_has_its_content_again(board):
    assert b"app: runs" in board.get("/main.py")


def test_a_file_from_this_machine(board, tmp_path):
    (tmp_path / "blink.py").write_text("def twice(n): return 2 * n\n")
    board.put("/blink.py", tmp_path / "blink.py")
    assert board.eval("__import__('blink').twice(21)") == 42


def test_a_missing_file_is_named(board):
    with pytest.raises(BoardError, match="cannot read /nothing on the board: OSError"):
        board.get("/nothing")


def test_a_mounted_folder_is_imported_from_and_leaves_nothing(board, tmp_path):
    (tmp_path / "mounted.py").write_text("print('from the host')\nX = 5\n")
    with board.mount(tmp_path) as place:
        assert place == "/remote"
        assert board.exec("import mounted") == "from the host\r\n"
        assert board.eval("mounted.X") == 5
    assert board.eval("__import__('os').getcwd()") == "/"
    assert "/remote" not in str(board.eval("__import__('os').listdir('/')"))
    with pytest.raises(UsageError, match="no folder"):
        board.mount(tmp_path / "nothing")


def test_a_path_without_a_slash_is_the_boards_in_a_mount_too(board, tmp_path):
    with board.mount(tmp_path):
        board.put("main.py", "print('mine')\n")
        assert board.get("./main.py") == b"print('mine')\n"
    assert board.get("/main.py") == b"print('mine')\n"
    assert list(tmp_path.iterdir()) == []


def test_and_the_boards_own_file_by_that_name_has_its_content_again(board):
    assert b"app: runs" in board.get("/main.py")


def test_a_reset_starts_the_program(board):
    board.reset()
    assert board.expect_reboot() == Reboot("software", "SW_CPU_RESET")
    board.console.wait("app: runs", 20)


def test_a_reboot_is_met_that_came_before_what_was_waited_for(board):
    board.reset()
    board.console.wait("app: runs", 20)
    board.expect_reboot("software", timeout=0)
    with pytest.raises(BoardError, match="did not reboot within 0 s"):
        board.expect_reboot(timeout=0)


def test_a_soft_reset_starts_the_program_without_a_reboot(board):
    board.reset("soft")
    board.console.wait("app: runs", 20)
    with pytest.raises(BoardError, match="did not reboot within 0 s"):
        board.expect_reboot(timeout=0)


def test_a_reset_of_no_kind_and_one_without_its_switch(board):
    with pytest.raises(UsageError, match="one of soft, hard, lines, power"):
        board.reset("warm")
    with pytest.raises(UsageError, match="no power switch"):
        board.reset("power")
    with pytest.raises(RigError, match="no modem lines"):
        board.reset("lines")


def test_a_watchdog_that_bites(board):
    board.start("import machine, time\nmachine.WDT(timeout=1000)\nprint('armed')\nwhile True: time.sleep(1)")
    board.console.wait("armed")
    board.expect_reboot("watchdog", timeout=20)


def test_deep_sleep(board):
    board.start("import machine\nmachine.deepsleep(200)")
    assert board.expect_reboot("deepsleep").rom == "DEEPSLEEP_RESET"


def test_another_cause_than_expected(board):
    board.start("import machine\nmachine.reset()")
    with pytest.raises(BoardError, match="rebooted, but by software, not by watchdog"):
        board.expect_reboot("watchdog")
    with pytest.raises(UsageError, match="one of power"):
        board.expect_reboot("magic")


def test_each_of_two_reboots_is_met_once(board):
    board.put("/boot.py", "import machine\nif machine.reset_cause() == machine.HARD_RESET: machine.deepsleep(200)\n")
    board.reset("hard")
    assert [board.expect_reboot().cause for _ in range(2)] == ["software", "deepsleep"]


def test_an_interrupted_program_can_be_looked_at(board):
    board.put("/main.py", "n = 0\nprint('begun')\nwhile True: n += 1\n")
    board.reset("soft")
    board.console.wait("begun")
    board.interrupt()
    assert board.eval("n") > 0


def test_slots_are_read_from_flash(board):
    picture = board.slots()
    assert (picture.chip, picture.running, picture.flash_size) == ("esp32", "ota_0", 4 << 20)
    assert [part.name for part in picture.slots] == ["ota_0", "ota_1"]
    assert picture.contents["ota_0"].kind == "image"


def test_slots_are_read_over_the_rom_loader(board):
    assert board.slots(esptool=True).contents["ota_0"].kind == "image"
    assert board.eval("1 + 1") == 2


def test_another_tool_has_the_port_for_a_while(board):
    with board.lent() as device:
        assert device == board.device
    assert board.eval("1 + 1") == 2


def test_what_the_board_is(board):
    assert board.chip == "esp32"
    assert board.features == ("loopback:4-5",)
    assert (board.feature("loopback"), board.feature("wifi")) == ("4-5", None)
    assert board.agent.__class__.__name__ == "BoardAgent"
    with pytest.raises(BoardError, match="no agent on the board"):
        board.agent.status()


@pytest.mark.board_needs("loopback")
def test_what_needs_a_feature_that_is_there(board):
    assert board.feature("loopback")


@pytest.mark.board_needs("power", "loopback", "camera")
def test_what_needs_features_that_are_not_there_is_skipped(board):
    raise AssertionError
