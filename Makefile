# efsupervisor: what a person does with a checkout.  Needs Python 3.11 or later, make and a package index; everything goes below this folder.

SHELL := /bin/sh
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The interpreter of .venv: python3 where it is new enough, else the newest that is found.  Another one: make PYTHON=/path/to/python3.12 run
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
PYTHON ?= $(shell for python in python3 python3.19 python3.18 python3.17 python3.16 python3.15 python3.14 python3.13 python3.12 python3.11; do \
    if $$python $(NEW_ENOUGH) 2>/dev/null; then echo $$python; break; fi; done)
VERSIONS ?= 3.11 3.12 3.13

VENV := .venv
BIN := $(VENV)/bin
# `compat`: a line with the checkout's path in place of an import hook, which costs every start of efctl 10 ms
PIP_INSTALL = -m pip --disable-pip-version-check -qq install --constraint constraints.txt --config-settings editable_mode=compat
FOLLOW ?= alerts
TESTS ?=
JOBS ?= $(shell echo $$(( $$(nproc 2>/dev/null || echo 1) + 1 )))

.PHONY: help run test test-all check chaos bench docs clean

help:  ## list what can be made
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-18s %s\n", $$1, $$2 }'

run: $(VENV)/.run  ## run the example in the foreground (etc/efsupervisor.yaml) and show what it finds; Ctrl-C ends it
	@chmod go-w etc etc/efsupervisor.yaml 2>/dev/null || :  # what others could write is refused, and some systems check out so
	exec $(BIN)/efsupervisord -n -c etc/efsupervisor.yaml --follow $(FOLLOW)

# What keeps a promise about time, or kills at random instants, runs last and alone: there nothing else may take the processors away.
test: $(VENV)/.check  ## run every test with warnings as errors; a part: make test TESTS=tests/unit
	@if test -n "$(TESTS)"; then set -x; $(BIN)/python -W error -m pytest $(TESTS); else set -ex; \
	    $(BIN)/python -W error -m pytest -n $(JOBS) -m "not alone"; \
	    $(BIN)/python -W error -m pytest -m alone; fi

test-all:  ## run every test on each of Python 3.11, 3.12 and 3.13 that is found
	@ran=; for version in $(VERSIONS); do \
	    python=; for candidate in python$$version "$$HOME"/.pyenv/versions/$$version.*/bin/python; do \
	        if "$$candidate" -c 'import sys; sys.exit("%d.%d" % sys.version_info[:2] != "'$$version'")' 2>/dev/null; then python=$$candidate; fi; done; \
	    if test -z "$$python"; then echo "== Python $$version is not here: skipped"; continue; fi; \
	    echo "== Python $$version"; \
	    $(MAKE) --no-print-directory test VENV=.venv-$$version PYTHON="$$python" || exit 1; ran="$$ran $$version"; done; \
	echo "== passed on:$${ran:- none}"; test -n "$$ran"

check: $(VENV)/.check  ## ruff, mypy --strict, layers, and the unit, contract and system tests
	$(BIN)/ruff check efsupervisor tests
	$(BIN)/mypy
	$(BIN)/python -W error -m pytest --quiet tests/contract/test_layers.py
	$(BIN)/python -W error -m pytest --quiet tests/unit tests/contract tests/system

chaos: $(VENV)/.check  ## the full chaos run: kills at random and at fault points, for as long as it takes
	EFS_CHAOS=full $(BIN)/python -W error -m pytest tests/chaos

bench: $(VENV)/.check  ## measure, beside other supervisors and the bare kernel (docs/benchmarks.rst)
	$(BIN)/python -m benchmarks --peers

docs: $(VENV)/.docs  ## manual pages and tables made from the code; README and docs/ as HTML pages in build/docs
	$(BIN)/python -m docs.generate
	@mkdir -p build/docs
	@for page in README.rst CHANGES.rst docs/*.rst; do \
	    $(BIN)/python -m docutils --halt=warning --strip-comments "$$page" build/docs/"$$(basename "$$page" .rst)".html || exit 1; done
	@echo "build/docs/README.html"

clean:  ## remove what was made here: environments, caches, build/ (var/, the example's state, stays)
	rm -rf $(VENV) .venv-* build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find efsupervisor tests -name __pycache__ -prune -exec rm -rf {} +

# Environments: a stamp says what was installed; it is made anew when the lists change.

$(BIN)/python:
	@if test -z "$(PYTHON)"; then echo "efsupervisor needs Python 3.11 or later; none was found (make PYTHON=/path/to/python run)" >&2; exit 1; fi
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --editable .
	@touch $@

$(VENV)/.check: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --editable '.[check]'
	@touch $@ $(VENV)/.run

$(VENV)/.docs: pyproject.toml constraints.txt | $(BIN)/python
	$(BIN)/python $(PIP_INSTALL) --editable '.[docs]'
	@touch $@
