# Runs first on every boot: puts a new release on trial before anything else can hang.
try:
    import ota.boot

    ota.boot.start()
except Exception as e:  # the application comes first, whatever is wrong with the agent
    print("ota: error", repr(e))
