# Every target sets up all it needs, in .venv. Variables: PYTHON (an interpreter, 3.11 or newer),
# CONSTRAINTS (set it empty to let pip choose versions, e.g. for a CUDA build of torch).
PYTHON ?= python3
CONSTRAINTS ?= constraints.txt
BIN := .venv/bin
OUT := data/out
PIP := $(BIN)/python -m pip install --disable-pip-version-check --quiet
PINS := $(if $(CONSTRAINTS),--constraint $(CONSTRAINTS))
KERNELS := $(wildcard curation/text/*.py curation/html/*.py)

.DEFAULT_GOAL := help
.NOTPARALLEL:
.PHONY: help install install-dev demo study smoke test check bench clean

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 14

install: .venv/.installed .venv/.warm ## everything needed to run: pipeline, flows, fine-tuning

install-dev: .venv/.installed-dev .venv/.warm ## the same with test and lint tools

demo: install ## curate the sample, fine-tune a small model on it, print what happened
	$(BIN)/curate run data/recipes/demo.toml --out $(OUT)/demo --finetune data/jobs/demo.toml

study: install ## data or GPUs? raw text to a verdict on this machine: 15 minutes on two quiet cores
	$(BIN)/curate study data/studies/cpu.toml --out $(OUT)/study

smoke: install ## the same chain with cells of seconds: two minutes, decides nothing
	$(BIN)/curate study data/studies/smoke.toml --out $(OUT)/smoke

test: install-dev ## all tests
	$(BIN)/python -m pytest -n 2 --dist loadfile

check: install-dev ## format, lint, types, import contracts, dependencies, spelling, recipes
	.ci/check

bench: install-dev ## speed of the kernels beside the usual libraries, in ratios
	@for script in benchmarks/*.py; do echo "== $$script"; $(BIN)/python "$$script" || exit 1; done

clean: ## remove the environment, outputs and caches
	rm -rf .venv $(OUT) data/work dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("python " + sys.version.split()[0] + " is too old; expected 3.11 or newer; run make with PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv .venv

.venv/.installed: pyproject.toml $(CONSTRAINTS) | .venv/bin/python
	$(PIP) $(PINS) --editable '.[all]'
	@touch $@

.venv/.installed-dev: pyproject.toml $(CONSTRAINTS) | .venv/bin/python
	$(PIP) $(PINS) --editable '.[all,dev]'
	@touch .venv/.installed $@

.venv/.warm: $(KERNELS) | .venv/.installed
	$(BIN)/python -m curation.warm
	@touch $@
