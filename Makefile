# make demo   the main job on a real model, with few items
# make test   the tests
# make check  style and types
# make docs   the documentation's site, in site/ (make docs-serve shows it while it is written)
# make bench  speed, memory and precision against other ways of doing the same (docs/benchmarks.md)
# Each sets up what it needs in .venv the first time, and is quick after that.

DEMO_MODEL        ?= smollm2
DEMO_TASK         ?= bbq:age
DEMO_ITEMS        ?= 800
DEMO_INSTRUCTIONS ?= 1
DEMO_OUT          ?= demo-run
# One number of neurons, fewer steps, few test items, and CRISPR on few numbers: minutes, not half an hour.
DEMO_MORE         ?= --neurons 1000 --learned-factors.straight-steps 90 --test-items 100 --also perplexity,drift \
	--crispr.grid 0,8 --crispr.instances 10 --crispr.trials 1 --random-neurons.draws 3

# Names of benchmarks, and options such as --quick.
BENCH             ?= --json benchmarks.json --plots benchmark-plots

TORCH    ?= torch==2.13.0
PIP_ARGS ?=
PYTHON   ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	command -v $$python >/dev/null 2>&1 \
	&& $$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' && echo $$python && break; done)

VENV    := .venv
INSTALL := $(VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
	--constraint requirements/constraints.txt $(PIP_ARGS)
READY   := $(VENV)/ready

.PHONY: demo test check docs docs-serve bench setup clean

demo: $(READY)
	$(VENV)/bin/biasectomy mitigate $(DEMO_MODEL) --task $(DEMO_TASK) \
		--max-items $(DEMO_ITEMS) --max-instructions $(DEMO_INSTRUCTIONS) \
		--out $(DEMO_OUT) --overwrite $(DEMO_MORE)
	@echo "open $(DEMO_OUT)/report.html"

test: $(READY)
	$(VENV)/bin/python -m pytest -n auto --dist worksteal

check: $(READY)
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# Its banner is an advertisement of another tool.
docs: $(VENV)/ready-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs build --strict

docs-serve: $(VENV)/ready-docs
	NO_MKDOCS_2_WARNING=1 $(VENV)/bin/python -m mkdocs serve

bench: $(VENV)/ready-bench
	$(VENV)/bin/python -m benchmarks $(BENCH)

setup: $(READY)

$(VENV)/ready-bench: $(READY)
	$(INSTALL) --editable '.[dev,bench]'
	@touch $@

$(VENV)/ready-docs: $(READY)
	$(INSTALL) --editable '.[dev,docs]'
	@touch $@

# torch goes first and by itself, so that nothing else brings another one.
$(READY): pyproject.toml requirements/constraints.txt
	@test -n "$(PYTHON)" || { echo "biasectomy needs Python 3.11 or newer; give its name: make PYTHON=python3.12" >&2; exit 1; }
	@echo "Setting up $(VENV) (once; some minutes, most of them for torch)"
	@$(PYTHON) -m venv $(VENV) >/dev/null 2>&1 || { $(PYTHON) -m venv --without-pip $(VENV) \
		&& $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet --disable-pip-version-check pip; }
	$(INSTALL) $(TORCH)
	$(INSTALL) --editable '.[dev]'
	@touch $@

clean:
	rm -rf $(VENV) demo-run site benchmarks.json benchmark-plots .mypy_cache .ruff_cache .pytest_cache
