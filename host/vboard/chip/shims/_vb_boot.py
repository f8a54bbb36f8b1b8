"""Brings up the virtual board's MicroPython: puts the esp32 modules in place, mounts the vfs, runs boot.py and main.py.

Follows ports/esp32/main.c and modules/_boot.py, inisetup.py (facts 6.6, 6.7): this file is the C start-up and the
frozen part; nothing of it is on the board's own flash.
"""

import builtins
import gc
import micropython
import os
import struct
import sys
import uctypes

import _vb_link

_programs = bytearray(_vb_link.call("heap"))  # kept in one piece until the program starts; nothing on an ESP32

import _vb_system
import _vb_esp32
import _vb_machine
import _vb_net
import _vb_tls
import _vb_version
import _vb_wlan
import vfs

if _vb_system._board["port"] == "esp8266":
    import _vb_esp8266
    import _vb_esp8266_net

# What the program may use of the C stack. The port's task has 16 KiB (MICROPY_TASK_STACK_SIZE), 1 KiB of it kept back;
# a simple recursive function took 328 bytes a level on an ESP32 (micropython#4840: 153 levels in 50 KiB), which makes
# about 46 levels. Here the same level takes 416; reading a file is Python below the file system and takes 1 KiB more.
_STACK = const(46 * 416 + 1024)
# An ESP8266 has 8 KiB (ports/esp8266/main.c): 24 levels. Its file system is Python below C, there as here.
_STACK_8266 = const(24 * 416 + 1024)
# An import takes 5,072 here: the unix port keeps room for a path of 4,096 bytes there, the chip for 128. What is more
# than a chip's share is added while it lasts, with the level of the function that does so.
_IMPORT = const(4096 - 128 + 416)

_import, _execfile = __import__, execfile
_stack_limit = None  # the VM's own word
_board = _vb_system._board
_ballast = None
_8266 = _board["port"] == "esp8266"


def _limit_stack():
    global _stack_limit
    address = os.getenv("VBOARD_STACK_LIMIT")
    if address:
        _stack_limit = uctypes.bytearray_at(int(address), 8)
        struct.pack_into("<Q", _stack_limit, 0, micropython.stack_use() + (_STACK_8266 if _8266 else _STACK))
        builtins.__import__ = _import_with_its_stack


def _import_with_its_stack(*args):
    if _8266 and _vb_esp8266.is_absent(args[0]):
        raise ImportError("no module named '%s'" % args[0])
    limit = struct.unpack_from("<Q", _stack_limit, 0)[0]
    struct.pack_into("<Q", _stack_limit, 0, limit + _IMPORT)
    try:
        return _import(*args)
    finally:
        struct.pack_into("<Q", _stack_limit, 0, limit)


def _install():
    modules = sys.modules
    for name in ("time", "errno", "os", "micropython", "sys"):
        modules[name] = getattr(_vb_system, name)
    modules["socket"], modules["select"], modules["tls"] = _vb_net.socket, _vb_net.select, _vb_tls.tls
    if _8266:
        for name in ("esp", "machine", "flashbdev"):
            modules[name] = getattr(_vb_esp8266, name)
        modules["network"], modules["tls"] = _vb_esp8266_net.network, _vb_esp8266_net.tls
    else:
        modules["network"] = _vb_wlan.network
        modules["esp32"] = _vb_esp32.esp32
        modules["esp"] = _vb_esp32.esp
        modules["gc"] = _vb_esp32.collector
        modules["machine"] = _vb_machine.machine
    import _vb_ntp  # stands on the board's own socket, time and machine

    modules["ntptime"] = _vb_ntp
    for name, attribute in _vb_system._board["absent"]:  # names newer than the firmware this board claims
        where = _vb_wlan.WLAN if name == "WLAN" else modules[name]
        if hasattr(where, attribute):
            delattr(where, attribute)
    sys.path[:] = ["", ".frozen", "/lib"]
    if _8266:
        sys.path.append("/")  # main.c has it last


def _make_room_for_names():
    """The names of the shims are in ROM on a chip; here they fill the VM's table of strings, which grows by doubling
    in one piece: by 640 names, then by 1,280 (15 KB). It grows now, while the heap is whole, and not in the middle of
    the program's, which has some 700 names of its own."""
    holder = type("", (), {})
    for n in range(0, 2000, 16):  # a few at a time: to count what is on the heap takes longer than they do
        before = gc.mem_alloc()
        for k in range(n, n + 16):
            getattr(holder, "_vb%d" % k, None)
        if gc.mem_alloc() - before > 10000:
            return


def _take_what_is_too_much():
    """An ESP8266's heap is so small that the program gets exactly what the chip has, and gc.mem_free() says so."""
    global _ballast, _programs
    size = 65536
    while size >= 32:
        try:
            _ballast = (_ballast, bytearray(size))
        except MemoryError:
            size //= 2
    gc.threshold(len(_programs) // 4)  # as its _boot.py sets it
    _programs = None
    gc.collect()


def _mount():
    vfs.umount("/")  # the host's own files
    bdev, fat = _vb_esp8266.flashbdev.bdev if _8266 else None, False
    if not _8266:  # modules/flashbdev.py: the port's own table has "vfs", TinyUF2's "ffat"
        found, find = [], _vb_esp32.Partition.find
        for label, block_size in ("vfs", 4096), ("ffat", 512):
            found = found or find(_vb_esp32.Partition.TYPE_DATA, label=label, block_size=block_size)
        if not found:
            return
        bdev = found[0]
        fat = bdev.info()[4] == "ffat"
    try:
        vfs.mount(bdev, "/")  # littlefs, or FAT: what lies there
        return
    except OSError:
        pass
    head = bytearray(bdev.ioctl(5, 0))
    bdev.readblocks(0, head)
    if head != b"\xff" * len(head):
        while True:
            print("The filesystem appears to be corrupted. Erase the flash and program it again.")
            _vb_system.time.sleep(3)
    print("Performing initial setup")
    kind = vfs.VfsFat if fat else vfs.VfsLfs2
    kind.mkfs(bdev)
    vfs.mount(kind(bdev), "/")
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
        _execfile(path, names)
    except SystemExit:
        _vb_link.call("soft_reset")
        _vb_link.park()
    except BaseException as e:
        sys.print_exception(e)
        return False
    return True


def start(names):
    """Everything up to the REPL; `names` is the namespace of __main__."""
    gc.collect()
    _make_room_for_names()
    _install()
    _mount()
    if _8266:
        _vb_esp8266.limit_vm()
    _vb_version.limit_vm(_vb_system.sys.implementation.version)
    gc.collect()
    if _8266:
        _take_what_is_too_much()
    _vb_link.shims_hold(gc.mem_alloc())
    _limit_stack()
    try:
        _vb_link.call("booting")
        if _run("boot.py", names) and _vb_link.call("friendly"):
            _run("main.py", names)
    except KeyboardInterrupt as e:  # between the two
        sys.print_exception(e)
    sys.stdout.write("\x10VB:repl\x10")
