# main.py: an asyncio program that looks for updates while it runs, and shows a download.
import asyncio
import sys

import machine

try:
    from ota import agent
except Exception as e:  # the agent is gone or damaged: the program comes first
    print("app: no agent:", repr(e))
    agent = None


def progress(phase, done, total):
    # Called for every block. phase is "download" or "verify", the numbers are bytes.
    if done == total:
        print("app:", phase, "done,", total, "bytes")


async def work():
    while True:
        # your program
        await asyncio.sleep_ms(500)


async def main():
    updates = asyncio.create_task(agent.task(progress)) if agent else None  # keep a name for it
    print("app: running")
    await work()
    if updates:
        await updates


if agent:
    agent.start()
try:
    asyncio.run(main())
except Exception as e:
    # run() is not there to see it: on trial a reset brings the old release back, and at any other
    # time the program starts again, and with it the look for a mended release.
    sys.print_exception(e)
    machine.reset()
