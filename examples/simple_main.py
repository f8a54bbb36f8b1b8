# main.py: the agent first, then your program in app.py.
#
# start() joins the network and looks once for an update; on the first boot of a new release it
# runs the trial's checks instead. run() imports app.py and calls its main(), if it has one. On
# trial an exception that app.py does not catch fails the trial.
from ota import agent

agent.start()
agent.run("app")
