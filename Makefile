# Everything on a fresh machine: `make train`, `make test`. PYTHON and VENV may be set.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: train test lint types bench clean

train: $(VENV)/.plot
	$(RUN) -m tinygrad_ai train $(ARGS)

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 $(ARGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(RUN) tools/check_house.py

types: $(VENV)/.dev
	$(RUN) -m mypy

bench: $(VENV)/.bench
	$(RUN) -m tinygrad_ai bench all $(ARGS)

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

# A stamp for each extra; made anew when the requirements change.
$(VENV)/.%: pyproject.toml constraints.txt | $(VENV)/.made
	$(RUN) -m pip install --quiet --editable '.[$*]' --constraint constraints.txt
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info runs
