"""Brings up the virtual board's MicroPython: puts the esp32 modules in place, mounts the vfs, runs boot.py and main.py.

Follows ports/esp32/main.c and modules/_boot.py, inisetup.py (facts 6.6, 6.7): this file is the C start-up and the
frozen part; nothing of it is on the board's own flash.
"""

import gc
import sys

import _vb_link
import _vb_system
import _vb_esp32
import _vb_machine
import _vb_net
import _vb_tls
import _vb_wlan
import vfs


def _install():
    modules = sys.modules
    for name in ("time", "errno", "os", "micropython", "sys"):
        modules[name] = getattr(_vb_system, name)
    modules["socket"], modules["select"], modules["tls"] = _vb_net.socket, _vb_net.select, _vb_tls.tls
    modules["network"] = _vb_wlan.network
    modules["esp32"] = _vb_esp32.esp32
    modules["esp"] = _vb_esp32.esp
    modules["machine"] = _vb_machine.machine
    import _vb_ntp  # stands on the board's own socket, time and machine

    modules["ntptime"] = _vb_ntp
    for name, attribute in _vb_system._board["absent"]:  # names newer than the firmware this board claims
        where = _vb_wlan.WLAN if name == "WLAN" else modules[name]
        if hasattr(where, attribute):
            delattr(where, attribute)
    sys.path[:] = ["", ".frozen", "/lib"]


def _make_room_for_names():
    """The names of the shims are in ROM on a chip; here they fill the VM's table of strings, which grows by doubling
    in one piece. It grows now, while the heap is whole, and not in the middle of the program's."""
    holder = type("", (), {})
    for n in range(1000):
        before = gc.mem_alloc()
        setattr(holder, "_vb%d" % n, None)
        if gc.mem_alloc() - before > 5000:
            return


def _mount():
    try:
        bdev = _vb_esp32.Partition("vfs")
    except OSError:
        return
    vfs.umount("/")
    try:
        vfs.mount(vfs.VfsLfs2(bdev), "/")
        return
    except OSError:
        pass
    head = bytearray(4096)
    bdev.readblocks(0, head)
    if head != b"\xff" * 4096:
        while True:
            print("The filesystem appears to be corrupted. Erase the flash and program it again.")
            _vb_system.time.sleep(3)
    print("Performing initial setup")
    vfs.VfsLfs2.mkfs(bdev)
    vfs.mount(vfs.VfsLfs2(bdev), "/")
    with open("boot.py", "w") as f:
        # as long as the one that the port writes: it takes a block of its own
        f.write("# boot.py: runs on every boot, before main.py\n" + "# (nothing yet)\n" * 8)


def _run(path, names):
    """As pyexec_file_if_exists does: True if it ended well or is not there; SystemExit is a soft reset."""
    try:
        _vb_system.os.stat(path)
    except OSError:
        return True
    try:
        execfile(path, names)
    except SystemExit:
        _vb_link.call("soft_reset")
        _vb_link.park()
    except BaseException as e:
        sys.print_exception(e)
        return False
    return True


def start(names):
    """Everything up to the REPL; `names` is the namespace of __main__."""
    _install()
    _mount()
    _make_room_for_names()
    gc.collect()
    try:
        _vb_link.call("booting")
        if _run("boot.py", names) and _vb_link.call("friendly"):
            _run("main.py", names)
    except KeyboardInterrupt as e:  # between the two
        sys.print_exception(e)
    sys.stdout.write("\x10VB:repl\x10")
