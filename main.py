# The network and the agent, then your program: app.py.
from ota import agent

agent.start()
agent.run("app")
