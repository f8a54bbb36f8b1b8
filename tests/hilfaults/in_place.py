"""A pytest plugin for the suite under test: it deploys the agent of $HIL_AGENT in place of the project's own."""

import os
from pathlib import Path

from otactl.board import agent

agent.SOURCES = Path(os.environ["HIL_AGENT"])
