"""`machine` as the esp32 port offers it, for what the virtual board has: resets, watchdog, RTC, pins, timers."""

import micropython
import os
import struct
import sys
import time as _real_time
import uctypes

from _vb_link import FEED, FIRED, Missing, busy, call, missing, park, request

_DEPTH = const(8)  # callbacks that wait at the most (MICROPY_SCHEDULER_DEPTH)


class Pin:
    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_DOWN = 1
    PULL_UP = 2
    IRQ_RISING = 1
    IRQ_FALLING = 2
    WAKE_LOW = 4
    WAKE_HIGH = 5
    DRIVE_0 = 0
    DRIVE_1 = 1
    DRIVE_2 = 2
    DRIVE_3 = 3

    def __init__(self, id, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        if not call("pin_known", id):
            raise ValueError("invalid pin")
        self.__id = id
        self.init(mode, pull, value=value)

    def init(self, mode=-1, pull=-1, *, value=None, drive=None, hold=None):
        call("pin_init", self.__id, mode, 0 if pull is None else pull)
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return call("pin_get", self.__id)
        call("pin_set", self.__id, 1 if level else 0)

    __call__ = value

    def on(self):
        self.value(1)

    def off(self):
        self.value(0)

    def irq(self, *args, **kw):
        missing()


class WDT:
    def __init__(self, id=0, timeout=5000):
        if id != 0:
            raise ValueError()
        if timeout <= 0:
            raise ValueError("WDT timeout too short")
        call("wdt", timeout)

    def feed(self):
        request(FEED, 0, 0, 0, 0, b"", b"", None)


class RTC:
    def __init__(self):
        pass

    def datetime(self, when=None):
        if when is None:
            t = _time().gmtime()
            return (t[0], t[1], t[2], t[6], t[3], t[4], t[5], 0)
        year, month, day, _, hour, minute, second, _ = when
        self.__set((year, month, day, hour, minute, second, 0, 0))

    def init(self, when):
        self.datetime(when)

    def __set(self, when):
        call("rtc_set", _time().mktime(when))
        _time().reload()

    def memory(self, data=None):
        if data is None:
            return bytes(call("rtc_memory", None))
        data = bytes(data)
        if len(data) > 2048:
            raise ValueError("buffer too long")
        call("rtc_memory", list(data))


def _time():
    import _vb_system

    return _vb_system.time


class Timer:
    ONE_SHOT = 0
    PERIODIC = 1
    __waits = False  # whether a call of __fire() waits for the end of a C call
    __made = {}  # handle -> the one Timer object of a hardware timer, and virtual ones that run

    def __new__(cls, id, **kw):
        handle = call("timer_open", id)
        timer = Timer.__made.get(handle)
        if timer is None:
            timer = object.__new__(cls)
            timer.__handle = handle
            timer.__callback = None
            if handle >= 0:
                Timer.__made[handle] = timer
        return timer

    def __init__(self, id, **kw):
        if kw:
            self.init(**kw)

    def init(self, *, mode=1, period=-1, callback=None, freq=None, tick_hz=1000, hard=False):
        self.__callback = callback
        Timer.__made[self.__handle] = self
        if call("timer", self.__handle, period if freq is None else int(1000 / freq), mode):
            _time().stand_still()

    def deinit(self):
        if self.__handle < 0:
            Timer.__made.pop(self.__handle, None)
        call("timer", self.__handle, 0, 0)

    def value(self):
        missing()

    @staticmethod
    def __fire(waits):
        """Scheduled by the supervisor's signal: the VM calls it between two bytecodes, as on the chip. Allocates nothing: nobody
        there asks whether the program has locked the heap (ports/esp32/machine_timer.c). What it leaves, another signal follows for.
        `waits`: true for one that has waited."""
        if busy():  # later, then: on the chip a callback never comes in the middle of a C call
            if waits or not Timer.__waits:
                Timer.__waits = False
                try:
                    micropython.schedule(Timer.__fire, True)
                    Timer.__waits = True
                except RuntimeError:  # the queue is full
                    pass
            return
        if waits:
            Timer.__waits = False
        for _ in range(_DEPTH):
            fired = request(FIRED, 0, 0, 0, 0, b"", b"", None)
            timer = fired and Timer.__made.get(-(fired >> 2) if fired & 2 else (fired >> 2) - 1)
            if timer and timer.__callback:
                try:
                    timer.__callback(timer)
                except Exception as e:
                    sys.print_exception(e)
            if not fired & 1:
                return


def _listen():
    """Tell the signal handler (vboard/chip/launch.py) what to schedule."""
    address = os.getenv("VBOARD_TIMER_SLOT")
    if address:
        slot = uctypes.bytearray_at(int(address), 8)
        struct.pack_into("<Q", slot, 0, id(Timer.__fire))


_listen()


class machine:
    Pin = Pin
    WDT = WDT
    RTC = RTC
    Timer = Timer
    PWRON_RESET = 1
    HARD_RESET = 2
    WDT_RESET = 3
    DEEPSLEEP_RESET = 4
    SOFT_RESET = 5
    SLEEP = 2
    DEEPSLEEP = 4
    PIN_WAKE = 2
    EXT0_WAKE = 2
    EXT1_WAKE = 3
    TIMER_WAKE = 4
    TOUCHPAD_WAKE = 5
    ULP_WAKE = 6

    @staticmethod
    def reset():
        call("reset")
        park()

    @staticmethod
    def soft_reset():
        raise SystemExit

    @staticmethod
    def reset_cause():
        return call("reset_cause")

    @staticmethod
    def deepsleep(time_ms=0):
        call("deepsleep", time_ms)
        park()

    @staticmethod
    def lightsleep(time_ms=0):
        _time().sleep_ms(time_ms)

    sleep = lightsleep

    @staticmethod
    def wake_reason():
        return 4 if call("reset_cause") == 4 else 0

    @staticmethod
    def unique_id():
        return bytes(call("unique_id"))

    @staticmethod
    def freq(hz=None):
        mhz = call("freq", 0 if hz is None else hz // 1000000 or 1)
        if not mhz:
            raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
        return mhz * 1000000 if hz is None else None

    @staticmethod
    def idle():
        _real_time.sleep_ms(1)

    @staticmethod
    def disable_irq():
        call("irq", True)
        return 0

    @staticmethod
    def enable_irq(state):
        call("irq", False)


for _name in (
    "ADC ADCBlock Counter DAC Encoder I2C I2CTarget I2S PWM SDCard SPI Signal SoftI2C SoftSPI TouchPad UART"
).split():
    setattr(machine, _name, Missing)
for _name in "bitstream bootloader dht_readinto time_pulse_us mem8 mem16 mem32 const _machine".split():
    setattr(machine, _name, missing)
