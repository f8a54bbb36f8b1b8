# main.py: a program that has its own say in a trial. The checks in otactl.toml that go with it:
#
#   [board.trial]
#   deadline_s = 120
#   checks = [
#     { check = "wifi" },
#     { check = "server" },
#     { check = "call", function = "__main__:sensor_works", timeout_s = 20 },
#     { check = "healthy", timeout_s = 60 },
#   ]
#
# `call` asks sensor_works() before the program starts; `healthy` waits, while it runs, for
# agent.healthy(). A function in a module of yours is named "module:function".
import sys
import time

import machine

try:
    from ota import agent
except Exception as e:  # the agent is gone or damaged: the program comes first
    print("app: no agent:", repr(e))
    agent = None


def read_sensor():
    return 20.5  # your hardware


def sensor_works():
    # True passes, False is asked again until timeout_s, an exception fails the trial.
    return 0 < read_sensor() < 50


def main():
    readings = 0
    while True:
        read_sensor()
        readings += 1
        if readings == 5 and agent:
            agent.healthy()  # harmless when no trial waits for it
            print("app: healthy")
        time.sleep_ms(500)


if agent:
    agent.start()
try:
    main()
except Exception as e:
    # A program that stops never says that it is healthy, so its trial would fail at the deadline;
    # the reset is only sooner.
    sys.print_exception(e)
    machine.reset()
