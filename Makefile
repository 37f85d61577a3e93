# `make figures`: the environment, then every notebook executed (the copies are in build/notebooks), figures/ written.
# `make test`: the environment, then every test.
PYTHON ?= python3
# Another package index for PyTorch, such as https://download.pytorch.org/whl/cpu for a CPU build on Linux.
TORCH_INDEX ?=
# Test files and notebooks run side by side, one thread each: their networks are too small to gain by a second one.
THREADS ?= 1
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(8, max(1, os.cpu_count() // $(THREADS))))')
VENV := .venv
BIN := $(VENV)/bin
NOTEBOOKS := $(sort $(wildcard notebooks/[0-9][0-9]_*.ipynb))

.PHONY: figures store test site check-site bench robustness lint lock clean

$(VENV)/installed: requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed: make PYTHON=python3.11 ...") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --editable .
	touch $@

figures: $(VENV)/installed
	printf '%s\n' $(NOTEBOOKS) | OMP_NUM_THREADS=$(THREADS) xargs -n 1 -P $(WORKERS) \
		$(BIN)/jupyter nbconvert --to notebook --execute --output-dir build/notebooks --CoalesceStreamsPreprocessor.enabled=True --log-level WARN
	$(BIN)/dip-repro study report

# For maintainers: every notebook executed and stored in its place. Each time adds its pictures to the history.
store: $(VENV)/installed
	printf '%s\n' $(NOTEBOOKS) | OMP_NUM_THREADS=$(THREADS) xargs -n 1 -P $(WORKERS) \
		$(BIN)/jupyter nbconvert --to notebook --execute --inplace --coalesce-streams --log-level WARN
	$(BIN)/jupyter nbconvert --to notebook --inplace --coalesce-streams --log-level WARN $(NOTEBOOKS)
	$(BIN)/dip-repro study report

test: $(VENV)/installed lint
	OMP_NUM_THREADS=$(THREADS) $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile --nbval --nbval-current-env --nbval-cell-timeout=600 tests notebooks

# The study as a website, build/site/index.html, from what is stored: no notebook is run. A link that leads nowhere fails.
site: $(VENV)/docs
	rm -rf build/site
	$(BIN)/python -m sphinx -W --keep-going -q -E -c docs -d build/doctrees . build/site

$(VENV)/docs: $(VENV)/installed docs/requirements.txt
	$(BIN)/python -m pip install --quiet -r docs/requirements.txt
	touch $@

# It in a headless Chromium or Chrome, where there is one: every page, every picture, no error, nothing from elsewhere.
check-site: site
	$(BIN)/python -m pytest -rs -s docs/test_pages.py

# Wants a quiet machine: some minutes.
bench: $(VENV)/installed
	$(BIN)/python benchmarks/bench.py

# What is done when things go wrong, tried and counted: benchmarks/ROBUSTNESS.md. Linux, as root; half an hour.
robustness: $(VENV)/installed
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/robustness

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The locks from what pyproject.toml allows, in a fresh environment. By the oldest Python that is to use it: PYTHON=...
lock:
	$(PYTHON) -m venv build/lock
	build/lock/bin/pip install --quiet 'torch==2.13.0' '.[study,features,test]'
	build/lock/bin/pip freeze --exclude dip_repro | sed 's/+cpu$$//' > requirements.lock
	build/lock/bin/pip install --quiet '.[docs]'
	build/lock/bin/pip freeze --exclude dip_repro | sed 's/+cpu$$//' | grep -vxFf requirements.lock > docs/requirements.txt

clean:
	rm -rf $(VENV) build
