# Sets up .venv by itself; needs Python 3.11 or newer, make, and a network the first time.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
PROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test lint docs bench

help:
	@echo "make demo   train source-only, DANN and target-only on digits that come along, and compare them"
	@echo "make test   run the tests, without those that train for minutes (TESTS=tests/core: only these)"
	@echo "make bench  time steps, commands and threads on this machine, which should do nothing else (25 minutes)"
	@echo "make lint   check style, types and the floors of the core"
	@echo "make docs   write the documentation as a site, build/site/index.html"
	@echo
	@echo "Each sets up .venv first where needed (PYTHON=... chooses the interpreter; about 5 GB)."
	@echo "Afterwards: source .venv/bin/activate, and then lab --help"

demo: $(READY)
	$(BIN)/lab run recipes/dann_digits.toml

test: $(READY)
	$(BIN)/python -m pytest -m "not slow" $(TESTS)

bench: $(READY)
	$(BIN)/python benchmarks/steps.py
	$(BIN)/python benchmarks/commands.py
	$(BIN)/python benchmarks/threads.py

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy $(patsubst %/pyproject.toml,%/src,$(PROJECTS)) benchmarks tests/shipped_types.py
	$(BIN)/lint-imports

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

$(READY): requirements.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.12 ... chooses one")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@
