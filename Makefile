# Every target does its own set-up, in .venv and nowhere else. Needs make and Python >= 3.11.
#   PYTHON=python3.12 make demo        another interpreter for .venv
#   DEVICE=cuda make test              the device of the tests

PYTHON ?= python3
DEVICE ?= cpu
JOBS ?= auto

BIN := .venv/bin
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := runs/demo

unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: demo test test-slow check format bench bench-gpu evidence docs clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       morph between the two example portraits, into $(DEMO)"
	@echo "make test       run the tests (make test-slow: the slow ones as well)"
	@echo "make check      ruff, pyright, import contract"
	@echo "make format     let ruff format and fix what it can"
	@echo "make bench      every solver on the reference problems and fresh ones: tables"
	@echo "make bench-gpu  seconds and memory of a pair at Stable Diffusion 2.1's size, on a GPU"
	@echo "make evidence   measure every claim of docs/evidence.md and write it anew, an hour on 2 cores"
	@echo "                (make evidence QUICK=--quick: a few pairs, in minutes)"
	@echo "make docs       build the documentation into site/"
	@echo "make clean      remove what the tools made, .venv included; runs/ stays"

demo: .venv/.installed
	$(BIN)/geodesic interpolate examples/portrait_a.png examples/portrait_b.png -o $(DEMO) --overwrite
	@echo
	@echo "The morph is in $(DEMO). Open $(DEMO)/report.html in a browser."

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --device $(DEVICE)

test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --device $(DEVICE) -m "not gpu and not network"

check: .venv/.installed-dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports --no-logo
	$(BIN)/pyright

format: .venv/.installed-dev
	$(BIN)/ruff check --fix-only
	$(BIN)/ruff format

bench: .venv/.installed
	$(BIN)/python -m benchmarks.solvers

bench-gpu: .venv/.installed
	$(BIN)/python -m benchmarks.cost --model sd21 --pairs 0 --device cuda --dtype float16

evidence: .venv/.installed
	$(BIN)/python -m benchmarks.evidence $(QUICK)

docs: .venv/.installed-docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/. Open site/index.html in a browser."

clean:
	rm -rf .venv site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks training -name __pycache__ -prune -exec rm -rf {} +

# Set-up. A stamp records what is installed; it is out of date when the requirements change.

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older or missing. Try PYTHON=python3.12 make ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/.installed: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv (once; several minutes, most of it torch) ..."
	$(PIP) --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev]'
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(PIP) --editable '.[docs]'
	@touch $@
