# Two commands: `make demo`, `make test`. Each does all of its own set-up. Needs Python 3.11 or newer, and make.

SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin

.DEFAULT_GOAL := help
.PHONY: help demo test test-machine test-broker test-rest lint types broker-test seeds mutants fuzz fuzz-decoders chaos
.PHONY: bench setup lock clean

help: ## show this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 22
	@echo
	@echo "  ARGS=...                    more arguments for demo, bench, broker-test and pytest"
	@echo "  MARKET=path                 your own LOBSTER files for the demo"
	@echo "  KAFKA_BOOTSTRAP_SERVERS, SCHEMA_REGISTRY_URL   use your own broker and registry"

demo: $(VENV)/.ready ## run the main job: orders in, allocations out, audited
	@$(BIN)/pipeline demo $(ARGS)

# Tests on brokers mostly wait: three groups of about the same length run side by side.
MACHINE := tests/broker/test_worker.py tests/broker/test_desk.py tests/broker/test_audit_verify.py
STATE := tests/broker/test_restore.py tests/broker/test_backpressure.py

test: lint types ## lint, types and every test, the real broker's too
ifeq ($(strip $(ARGS)),)
	@$(MAKE) --no-print-directory -j3 test-machine test-broker test-rest
else
	$(BIN)/python -m pytest $(ARGS)
endif

test-machine: $(VENV)/.ready
	$(BIN)/python -m pytest -q -p no:cacheprovider $(MACHINE)

test-broker: $(VENV)/.ready
	$(BIN)/python -m pytest -q -p no:cacheprovider tests/broker $(addprefix --ignore=,$(MACHINE) $(STATE))

test-rest: $(VENV)/.ready
	$(BIN)/python -m pytest -q tests --ignore=tests/broker
	$(BIN)/python -m pytest -q -p no:cacheprovider $(STATE)

lint: $(VENV)/.ready ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(VENV)/.ready ## mypy --strict
	$(BIN)/mypy

broker-test: $(VENV)/.ready ## only the tests on the real broker
	$(BIN)/python -m pytest -m broker $(ARGS)

chaos: $(VENV)/.ready ## faults on a real broker for about an hour: counted, checked, reported in .chaos (--help: ARGS)
	@$(BIN)/python -m tests.chaos $(ARGS)

bench: $(VENV)/.ready ## measure: every case, or ARGS="--case intake"; then ARGS=report
	@$(BIN)/python -m bench $(ARGS)

setup: $(VENV)/.ready ## only the virtual environment

lock: $(VENV)/.ready ## choose new versions within the ranges of pyproject.toml: rewrites requirements.lock
	sh ops/lock_requirements.sh

seeds: $(VENV)/.ready ## many seeds of the simulated broker (ARGS="--count 10000 --jobs 2")
	$(BIN)/python -m tests.simulated.seeds $(ARGS)

mutants: $(VENV)/.ready ## deliberate defects in the worker, each found by a cheap test (in decisions: ARGS="--logic")
	$(BIN)/python -m tests.mutants $(ARGS)

fuzz: $(VENV)/.ready ## garbage from outside among small days in memory (ARGS="--records 1000000 --jobs 2")
	$(BIN)/python -m tests.fuzz $(ARGS)

fuzz-decoders: $(VENV)/.ready ## coverage-guided fuzzing of decoders and readers of files (ARGS="--seconds 60")
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps --only-binary :all: \
	    --upgrade --target .fuzz/packages -r tests/fuzz/atheris.txt
	PYTHONPATH=.fuzz/packages $(BIN)/python -m tests.fuzz.decoders $(ARGS)

clean: ## remove the virtual environment and caches (the fetched broker stays in the user's cache)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis *.egg-info build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps are touched last, so an interrupted installation is done again.
$(VENV)/.ready: $(VENV)/.locked pyproject.toml setup.py
	@echo "installing the pipeline itself (editable)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --no-index -e .
	@touch $@

$(VENV)/.locked: requirements.lock
	@sh ops/make_venv.sh $(VENV)
	@touch $@
