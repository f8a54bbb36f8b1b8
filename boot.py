# Runs first on every boot: the application of the slot that runs comes first in every search for a module, then a new
# release is put on trial before anything else can hang.
import sys

try:
    from esp32 import Partition

    sys.path.insert(0, "/app-" + Partition(Partition.RUNNING).info()[4])
    import ota.boot

    ota.boot.start()
except Exception as e:  # the application comes first, whatever is wrong with the agent
    print("ota: error", repr(e))
