# Sets up .venv by itself; needs Python 3.11 or newer, make, and a network the first time.
PYTHON ?= python3
KILLS ?= 100
BIN := .venv/bin
READY := .venv/.ready
PROJECTS := $(wildcard core/pyproject.toml plugins/*/pyproject.toml)

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs bench coverage dist faults

help:
	@echo "make demo   train source-only, DANN and target-only on digits that come along, and compare them"
	@echo "make test   run the tests, without those that train for minutes (TESTS=tests/core: only these)"
	@echo "make bench  time steps, commands and threads on this machine, which should do nothing else (25 minutes)"
	@echo "make faults  kill, starve and damage tiny runs, 100 SIGKILLs a family (KILLS=10: fewer), and mutate inputs"
	@echo "make lint   check style, types and the floors of the core"
	@echo "make docs   write the documentation as a site, build/site/index.html"
	@echo "make dist   write every distribution as a wheel and as an archive of its sources, into dist/"
	@echo "make coverage  make test, and what of the code it runs, line by line: build/coverage/index.html"
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

faults: $(READY)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.faults --kills $(KILLS)
	HYPOTHESIS_PROFILE=faults $(BIN)/python -m pytest -q tests/properties

coverage: $(READY)
	mkdir -p build
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -m "not slow" $(TESTS)
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage html --quiet --directory build/coverage
	$(BIN)/coverage report

lint: types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

types: $(READY)
	$(BIN)/mypy $(patsubst %/pyproject.toml,%/src,$(PROJECTS)) benchmarks
	$(BIN)/mypy tests

dist: $(READY)
	rm -rf dist
	for project in $(dir $(PROJECTS)); do \
	  $(BIN)/python -m build --no-isolation --outdir dist "$$project" >/dev/null || exit 1; done
	$(BIN)/python -m twine check --strict dist/*

docs: $(READY)
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet

$(READY): requirements.txt $(PROJECTS)
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.12 ... chooses one")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install -r requirements.txt
	@touch $@
