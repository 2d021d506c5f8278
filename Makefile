# Every target does its own set-up, in .venv and nowhere else. Needs make and Python >= 3.11.
#   PYTHON=python3.12 make demo        another interpreter for .venv
#   DEVICE=cuda make test              the device of the tests

PYTHON ?= python3
DEVICE ?= cpu
JOBS ?= auto

WINDOWS := $(filter Windows_NT,$(OS))
BIN := .venv/$(if $(WINDOWS),Scripts,bin)
INTERPRETER := $(BIN)/python$(if $(WINDOWS),.exe)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
DEMO := runs/demo
DATA ?= shared/data
# a test that waits for ever is ended, with the place where it waits, and fails
BOUNDED := -o faulthandler_timeout=400 -o faulthandler_exit_on_timeout=true

unexport PYTHONPATH PYTHONHOME VIRTUAL_ENV

.PHONY: demo web examples test test-whole test-slow test-web test-faults check format bench bench-gpu evidence gallery docs release-check clean help
.DEFAULT_GOAL := help

help:
	@echo "make demo       morph between the two example portraits, into $(DEMO)"
	@echo "make web        open the web page: drop two pictures, get a film"
	@echo "make examples   sounds, solids and faces as models of your own, into runs/ (DATA=folder of the faces)"
	@echo "make test       run the tests, but the whole runs and the slow ones"
	@echo "make test-whole run those that run whole commands, pages and examples"
	@echo "make test-slow  run all of these and the slow ones"
	@echo "make test-web   the web page in a real browser (needs chromium: apt install chromium)"
	@echo "make test-faults  kill batches 200 times on every engine; an hour on 2 cores"
	@echo "make check      ruff, pyright, import contract"
	@echo "make format     let ruff format and fix what it can"
	@echo "make bench      every solver on the reference problems and fresh ones: tables"
	@echo "make bench-gpu  seconds and memory of a pair at Stable Diffusion 2.1's size, on a GPU"
	@echo "make evidence   measure every claim of docs/evidence.md and write it anew, an hour on 2 cores"
	@echo "                (make evidence QUICK=--quick: a few pairs, in minutes)"
	@echo "make gallery    make the pictures of docs/gallery.md anew"
	@echo "make docs       build the documentation into site/"
	@echo "make release-check   build wheel and sdist into dist/, try them outside this folder"
	@echo "make clean      remove what the tools made, .venv included; runs/ stays"

demo: .venv/.installed
	$(BIN)/geodesic demo -o $(DEMO) --overwrite
	@echo
	@echo "The morph is in $(DEMO). Open $(DEMO)/report.html in a browser."

web: .venv/.installed-web
	$(BIN)/geodesic web

examples: .venv/.installed
	$(BIN)/python examples/sound.py -o runs/sound
	$(BIN)/python examples/shapes.py -o runs/shapes
	$(BIN)/python examples/faces.py -o runs/faces --data $(DATA)

test: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --device $(DEVICE) $(BOUNDED)

test-whole: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --device $(DEVICE) $(BOUNDED) -m "whole and not slow and not gpu and not network and not browser"

test-slow: .venv/.installed-dev
	$(BIN)/python -m pytest -n $(JOBS) --maxprocesses 8 --device $(DEVICE) -m "not gpu and not network and not faults and not browser"

test-web: .venv/.installed-web-test
	$(BIN)/python -m pytest -n 0 -m browser tests/web

test-faults: .venv/.installed-batch
	$(BIN)/python -m pytest -n 0 -m "slow or faults" tests/batch

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

gallery: .venv/.installed
	$(BIN)/python docs/gallery.py

docs: .venv/.installed-docs
	$(BIN)/python docs/settings_table.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "The documentation is in site/. Open site/index.html in a browser."

release-check: .venv/.installed-release
	$(BIN)/python -m tests.release.check dist

clean:
	rm -rf .venv site build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find src tests benchmarks training -name __pycache__ -prune -exec rm -rf {} +

# Set-up. A stamp records what is installed; it is out of date when the requirements change.

$(INTERPRETER):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or newer is needed; $(PYTHON) is older or missing. Try PYTHON=python3.12 make ..."; exit 1; }
	@$(PYTHON) -m venv .venv || { rm -rf .venv; \
	  echo "$(PYTHON) could not make a virtual environment; on Debian and Ubuntu: apt install python3-venv"; exit 1; }

.venv/.installed: $(INTERPRETER) pyproject.toml constraints.txt
	@echo "Installing into .venv (once; several minutes, most of it torch) ..."
	$(PIP) --editable .
	@touch $@

.venv/.installed-dev: .venv/.installed
	$(PIP) --editable '.[dev,web]'
	@touch $@

.venv/.installed-batch: .venv/.installed-dev
	$(PIP) --editable '.[ray,slurm]'
	@touch $@

.venv/.installed-web: .venv/.installed
	$(PIP) --editable '.[web]'
	@touch $@

.venv/.installed-web-test: .venv/.installed-dev
	$(PIP) --editable '.[web-test]'
	@touch $@

.venv/.installed-docs: .venv/.installed
	$(PIP) --editable '.[docs]'
	@touch $@

.venv/.installed-release: .venv/.installed
	$(PIP) --editable '.[release]'
	@touch $@
