# Two commands: `make demo` shows what srccat does, `make test` checks this checkout.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test test-long
.DEFAULT_GOAL := demo

demo: $(VENV)/.installed
	$(BIN)/srccat demo

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest -n 2 --dist loadfile

# Kills and restarts runs at many moments, on both engines.
test-long: $(VENV)/.installed-test
	$(BIN)/python -m pytest -m long --timeout 3600

$(VENV)/bin/python:
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null \
	  || { echo "venv is missing: sudo apt-get install python3 python3-venv"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "srccat needs Python 3.11 or newer: make PYTHON=python3.11 ..."; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-test: pyproject.toml | $(VENV)/bin/python compilers
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]'
	@touch $@ $(VENV)/.installed

.PHONY: compilers
compilers:
	@command -v cc >/dev/null && command -v c++ >/dev/null \
	  || { echo "a C and a C++ compiler are missing: sudo apt-get install build-essential"; exit 1; }
	@command -v bison >/dev/null && command -v flex >/dev/null \
	  || { echo "bison or flex is missing (the spectral tests build Sherpa): sudo apt-get install bison flex"; exit 1; }
