# The network and the agent, then your program: app.py.
try:
    from ota import agent
except ImportError as e:  # the agent's files are gone: the application comes first
    print("ota: error", repr(e))
    import app

    if hasattr(app, "main"):
        app.main()
else:
    agent.start()
    agent.run("app")
