# Two commands for a fresh machine with Python 3.11+, git and make: `make demo` and `make test`.
# Everything is installed into .venv of this folder and nowhere else; with PYTHON given (`make test
# PYTHON=/path/to/python3.13`) into one of its own, such as .venv-3.13, so that each keeps its packages.

ifneq ($(origin PYTHON),undefined)
GIVEN := $(shell "$(PYTHON)" -c 'import sys; print("-%d.%d" % sys.version_info[:2])')
$(if $(GIVEN),,$(error PYTHON=$(PYTHON) is no Python))
endif
PYTHON ?= python3
VENV := .venv$(GIVEN)
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
JOBS ?= 2

.PHONY: help demo demo-road test test-long races year golden lint wheel-check bench clean

help:
	@echo "make demo       run the example on real data, break it, mend it"
	@echo "make demo-road  take a change to production on real data, and back, step by step"
	@echo "make test       run the tests (under 5 minutes on 2 cores)"
	@echo "make test-long  run the long tests: kills, wheel in a bare environment, large properties"
	@echo "make races      let 1,000 times two and 200 times eight promotions race"
	@echo "make year       simulate a whole year of runs, alerts and its page (some ten minutes of one core)"
	@echo "make golden     write the files anew that say what is posted and reported; read what changed"
	@echo "make lint       ruff, mypy"
	@echo "make bench      measure, beside peers, and write docs/benchmarks.md"
	@echo "With PYTHON=/path/to/python3.13 each of them runs on that Python instead of python3."

$(STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 11) else "GitKitchen needs Python 3.11 or newer; set PYTHON=/path/to/python3.11")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo,pytest]' --group test --group lint
	@touch $@

DEMO_DIR ?= $(or $(TMPDIR),/tmp)/gitkitchen-demo

demo: $(STAMP)
	$(BIN)/gitkitchen demo --replace "$(DEMO_DIR)"

demo-road: $(STAMP)
	$(BIN)/gitkitchen demo --road --replace "$(DEMO_DIR)-road"

# Worksteal: the tests of a file stay together, so that what they share is made once.
test: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal

test-long: $(STAMP)
	$(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m long

races: $(STAMP)
	GITKITCHEN_RACES=1000 $(BIN)/python -m pytest -q -n $(JOBS) --dist worksteal -m long tests/promoting/test_races.py

year: $(STAMP)
	GITKITCHEN_YEAR=1 $(BIN)/python -m pytest -q -s -m long tests/year

golden: $(STAMP)
	REPORT_GOLDEN=write $(BIN)/python -m pytest -q -m "long or not long" tests/report tests/examples/test_pull_request_story.py -k "not readme"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(STAMP)
	$(BIN)/python -m benchmarks

clean:
	rm -rf .venv .venv-* dist build .bench
