# The network and the agent, then your program: app.py.
try:
    from ota import agent

    agent.start()
except Exception as e:  # the agent is gone, damaged or for another firmware: the application comes first
    print("ota: error", repr(e))
    agent = None

if agent:
    agent.run("app")
else:
    import app

    if hasattr(app, "main"):
        app.main()
