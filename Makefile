# `make help` lists the targets. All of them but help, setup and clean install first, if needed.
#   MODEL DATASET VERSION PORT   handed to the command when given, else the command's own default holds
#   ARGS                         anything else, handed on as it is: make train MODEL=din ARGS="--epochs 3"
#   PYTHON                       the Python that `make setup` uses: make setup PYTHON=/path/to/python3.11

.DEFAULT_GOAL := help

BIN := .venv/bin
INSTALLED := .venv/.installed
PEERS := build/peers
PYTHONS := $(if $(PYTHON),"$(PYTHON)",python3.12 python3.11 python3.10 python3.9 python3)

model := $(if $(MODEL), --model $(MODEL))
dataset := $(if $(DATASET), --dataset $(DATASET))
version := $(if $(VERSION), --version $(VERSION))
port := $(if $(PORT), --port $(PORT))
args := $(if $(ARGS), $(ARGS))
exports := $(if $(MODEL),exports/$(MODEL)$(if $(VERSION),/$(VERSION)),exports)

.PHONY: help setup demo prepare train evaluate export lint serve predict test check bench bench-peers clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-11s %s\n", $$1, $$2 }' Makefile

setup: $(INSTALLED) ## make .venv and install exactly what requirements.lock says
	@echo "ready: $$($(BIN)/python --version) in .venv"

# A Python counts when it runs, has the right version and can make a virtual environment: a shim of a version manager or a
# system Python without its venv package is on PATH and can do neither. An existing .venv that works is kept.
$(INSTALLED): requirements.lock setup.cfg pyproject.toml
	@usable() { "$$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null | grep -Eqx '3\.(9|10|11|12)'; }; \
	usable $(BIN)/python && exit 0; \
	for python in $(PYTHONS); do \
	  if ! command -v "$$python" >/dev/null 2>&1; then reason="not found"; \
	  elif ! "$$python" -c '' >/dev/null 2>&1; then reason="does not run"; \
	  elif ! usable "$$python"; then reason="is $$("$$python" --version 2>&1)"; \
	  elif "$$python" -m venv --clear .venv >/dev/null 2>&1; then echo "using $$python"; exit 0; \
	  else reason="cannot make a virtual environment, is its venv package installed?"; rm -rf .venv; fi; \
	  tried="$$tried\n  $$python: $$reason"; \
	done; \
	printf "make setup: Signet needs Python 3.9, 3.10, 3.11 or 3.12 with venv, and found none:$$tried\n" >&2; \
	echo "Install one, or name one: make setup PYTHON=/path/to/python3.11" >&2; \
	exit 1
	@$(BIN)/python -m pip install --quiet 'pip>=23'
	$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation -e .
	@$(BIN)/python -m compileall -qq -j 0 .venv/lib pipeline serving signatures || true # some packages ship files for other Pythons
	@touch $@

demo: $(INSTALLED) ## from raw rows to ten recommended films, asked over REST and gRPC (DATASET)
	$(BIN)/signet demo$(dataset)$(args)

prepare: $(INSTALLED) ## turn a data set's rows into training data (DATASET)
	$(BIN)/signet prepare$(dataset)$(args)

train: $(INSTALLED) ## train a model (MODEL, DATASET)
	$(BIN)/signet train$(model)$(dataset)$(args)

evaluate: $(INSTALLED) ## measure a trained model against popularity (MODEL, DATASET)
	$(BIN)/signet evaluate$(model)$(dataset)$(args)

export: $(INSTALLED) ## publish a trained model's next version, through the gates (MODEL, DATASET)
	$(BIN)/signet export$(model)$(dataset)$(args)

lint: $(INSTALLED) ## prove that nothing of training reaches a prediction (MODEL, VERSION; all exports without)
	$(BIN)/signet lint $(exports)$(args)

serve: $(INSTALLED) ## serve the exports over REST and gRPC (MODEL, PORT: gRPC's)
	$(BIN)/signet serve$(model)$(port)$(args)

predict: $(INSTALLED) ## ask the server (MODEL, VERSION, PORT: gRPC's; the row in ARGS)
	$(BIN)/signet predict$(if $(MODEL), $(MODEL))$(version)$(port)$(args)

test: $(INSTALLED) ## run the tests (ARGS goes to pytest)
	$(BIN)/python -m pytest$(args)

check: $(INSTALLED) ## ruff, mypy and the tests
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest$(args)

bench: $(INSTALLED) ## measure training, ranking, preparation, serving and linting
	$(BIN)/signet bench$(args)

bench-peers: $(INSTALLED) $(PEERS)/.installed ## measure beside DeepCTR and tensorflow-recommenders, in an environment of their own
	$(BIN)/python -m tests.benchmarks.peers$(args)

# The peers have the same versions of everything as we do, and no Signet.
$(PEERS)/.installed: requirements.lock tests/benchmarks/peers/requirements.txt | $(INSTALLED)
	$(BIN)/python -m venv --clear $(PEERS)
	@$(PEERS)/bin/python -m pip install --quiet 'pip>=23'
	$(PEERS)/bin/python -m pip install --quiet -r requirements.lock
	$(PEERS)/bin/python -m pip install --quiet --no-deps -r tests/benchmarks/peers/requirements.txt
	@touch $@

clean: ## remove build products and caches; .venv, data, runs and exports stay
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find pipeline serving signatures tests -name __pycache__ -type d -prune -exec rm -rf {} +
