# main.py: the agent first, then your program in app.py.
#
# start() joins the network and looks once for an update; on the first boot of a new release it
# runs the trial's checks instead. run() imports app.py and calls its main(), if it has one. On
# trial an exception that app.py does not catch fails the trial.
try:
    from ota import agent

    agent.start()
except Exception as e:  # the agent is gone or damaged: the program comes first
    print("app: no agent:", repr(e))
    agent = None

if agent:
    agent.run("app")
else:
    import app

    if hasattr(app, "main"):
        app.main()
