# Everything sets itself up: a Python 3.11+, make and a package index are enough.
# A board is any mpremote device string: make deploy PORT=/dev/ttyUSB0 WORKSPACE=lamp

PYTHON    ?= python3
PORT      ?= auto
WORKSPACE ?= .
FIRMWARE  ?=
VENV      := .venv
BIN       := $(VENV)/bin
READY     := $(VENV)/ready
BESIDE    := $(VENV)/beside/ready
ENGINE    := $(VENV)/engine/ready
OTACTL    := $(BIN)/otactl

.DEFAULT_GOAL := help
.PHONY: help demo demo-fleet demo-engine picture test lint fmt deploy status repl board bench scale powercut matrices fuzz soak hil \
    hil-self engine clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(READY): pyproject.toml host/otactl/__init__.py
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	    { echo "Python 3.11 or newer is needed; name one with: make PYTHON=python3.12 ..." >&2; exit 3; }
	@echo "setting up $(VENV) (once)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[dev]'
	@touch $@

demo: $(READY) ## a full update and a rollback on a virtual board (FIRMWARE=path for a file of yours)
	@$(OTACTL) demo $(if $(FIRMWARE),--firmware "$(FIRMWARE)")

demo-fleet: $(READY) ## a rollout on eight virtual boards that stops itself, and its successor (ARGS=--stay for the page)
	@$(OTACTL) demo --fleet $(ARGS)

demo-engine: $(ENGINE) ## the same through a real gooseBit (ARGS=--stay for its page)
	@$(OTACTL) demo --engine $(VENV)/engine/bin/python $(ARGS)

picture: $(READY) ## what the demo shows, as README's picture docs/demo.svg
	@$(OTACTL) demo --svg docs/demo.svg

# Plugins that ours must work beside, each in a folder of its own: in the venv they would take part in every test run.
$(BESIDE): $(READY)
	@rm -rf $(VENV)/beside
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(VENV)/beside/labgrid labgrid
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --target $(VENV)/beside/embedded pytest-embedded-serial
	@touch $@

# Each of hundreds of processes would compile the whole again where an environment forbids to keep what was compiled.
test matrices soak hil-self engine: export PYTHONDONTWRITEBYTECODE =

test: $(READY) ## all tests
	@$(MAKE) --no-print-directory $(BESIDE) || echo "no $(BESIDE): the tests beside other plugins are skipped" >&2
	@$(BIN)/python -m pytest -n 6 --dist worksteal $(ARGS)

matrices: $(READY) ## all rows of the tests of which `make test` runs a slice
	@MATRICES=all $(BIN)/python -m pytest -n 4 $(ARGS)

fuzz: $(VENV)/fuzz ## each parser of the agent for 20 s under libFuzzer, then on a board (ARGS="--seconds 600 http")
	@PYTHONPATH=host:tests $(BIN)/python -m fuzz $(ARGS)

$(VENV)/fuzz: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[fuzz]'
	@touch $@

soak: $(READY) ## 200 random sequences of network faults (SEED=7 to choose them, ONLY=17 for one)
	@MATRICES=all SOAK=200 SEED="$(or $(SEED),$$(date +%s))" ONLY="$(ONLY)" \
	    $(BIN)/python -m pytest -n 2 tests/board/test_soak.py $(ARGS)

# Real gooseBit in a venv of its own: 51 packages that nothing else here needs, by the extra that pyproject.toml has for it.
$(ENGINE): $(READY)
	@test -x $(VENV)/engine/bin/python || $(PYTHON) -m venv $(VENV)/engine
	@$(VENV)/engine/bin/python -m pip install --quiet --disable-pip-version-check "$$($(BIN)/python -c 'import tomllib; \
	    print(*tomllib.load(open("pyproject.toml", "rb"))["project"]["optional-dependencies"]["engine"])')"
	@touch $@

engine: $(ENGINE) ## boards and otactl against a real gooseBit
	@GOOSEBIT=$(VENV)/engine/bin/python $(BIN)/python -m pytest -n 2 tests/engine/test_goosebit*.py tests/engine/test_engine_story.py $(ARGS)

hil: $(READY) ## the suite on a board, which is left as it was: make hil BOARD=/dev/ttyUSB0 (ARGS=--all)
	@$(OTACTL) hil "$(or $(BOARD),virtual)" $(ARGS)

hil-self: $(READY) ## what the suite says of boards, agents and rigs with a fault each (20 minutes)
	@MATRICES=all HIL_SELF=1 $(BIN)/python -m pytest -n 2 tests/board/test_hil.py $(ARGS)

lint: $(READY) typings/ready ## ruff and mypy, for the host and for the device
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy host/otactl host/otactl_pytest host/vboard host/faultserver
	@$(BIN)/mypy --config-file device/mypy.ini device/ota device/cable.py device/dev.py

typings/ready: $(READY)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --target typings micropython-esp32-stubs
	@touch $@

fmt: $(READY) ## format the code
	@$(BIN)/ruff check --fix .
	@$(BIN)/ruff format .

deploy: $(READY) ## install the agent on the board at PORT (WORKSPACE=lamp for another folder than this)
	@$(OTACTL) deploy -w "$(WORKSPACE)" "$(PORT)"

status: $(READY) ## what the board at PORT says of itself
	@$(OTACTL) status "$(PORT)"

repl: $(READY) ## a prompt on the board at PORT
	@$(BIN)/mpremote connect "$(PORT)" repl

board: $(READY) ## start a virtual board and print its port
	@$(OTACTL) virtual-board

powercut: $(READY) ## power gone at every flash operation of an update; pictures in results/ (REPLAY=point for one)
	@PYTHONPATH=host:tests $(BIN)/python -m powercut $(if $(REPLAY),--replay '$(REPLAY)') $(ARGS)
	$(if $(REPLAY)$(ARGS),,@PYTHONPATH=host:tests $(BIN)/python -m powercut.oneslot)

scale: $(READY) ## four hundred boards look, update and report through one server (ARGS="--boards 1000 --spread 60")
	@PYTHONPATH=host:tests $(BIN)/python -m scale $(ARGS)

bench: $(READY) ## ratios, measured in one run
	@$(BIN)/python -m pytest tests/bench -s -p no:xdist

clean: ## remove what these commands made
	rm -rf $(VENV) typings build demo results .pytest_cache .mypy_cache .ruff_cache
	find . -name __pycache__ -prune -exec rm -rf {} +
