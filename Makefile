# Everything on a fresh machine: `make train`, `make test`. PYTHON and VENV may be set.
PYTHON ?= python3
VENV ?= .venv
RUN := $(VENV)/bin/python
ARGS ?=

.PHONY: train test lint types bench docs gpu sanitize clean

train: $(VENV)/.plot
	$(RUN) -m tinygrad_ai train $(ARGS)

test: $(VENV)/.test
	OMP_NUM_THREADS=1 $(RUN) -m pytest -q -n 2 $(ARGS)

lint: $(VENV)/.dev
	$(RUN) -m ruff check .
	$(RUN) -m ruff format --check .
	$(VENV)/bin/clang-format --dry-run --Werror csrc/*.h csrc/cpu/* csrc/cuda/* tests/pool.cpp \
		tests/cuda/cusim_ptx.h tests/cuda/*.cpp
	$(RUN) tools/check_house.py

types: $(VENV)/.dev
	$(RUN) -m mypy

bench: $(VENV)/.bench
	$(RUN) -m tinygrad_ai bench all $(ARGS)

docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(RUN) -m mkdocs build --strict

# On a machine with a GPU, without network: with the packages that its own Python has.
gpu:
	$(PYTHON) -m benchmarks.gpu $(ARGS)

# The kernels' tests in a copy of the tree, built to stop at the first wrong access or overflow.
SANITIZED := build/sanitize
library = $(shell c++ -print-file-name=lib$(1).so)
sanitize: $(VENV)/.test
	rm -rf $(SANITIZED) && mkdir -p $(SANITIZED)
	c++ -std=c++17 -O1 -g -pthread -fsanitize=thread tests/pool.cpp csrc/cpu/pool.cpp \
		-o $(SANITIZED)/pool && $(SANITIZED)/pool
	cp -r setup.py pyproject.toml README.md LICENSE csrc tinygrad_ai tests $(SANITIZED)
	rm -f $(SANITIZED)/tinygrad_ai/backend/*.so
	$(RUN) -m pip install --quiet 'setuptools>=77' 'pybind11>=2.12'
	cd $(SANITIZED) && TINYGRAD_AI_NATIVE=require TINYGRAD_AI_CUDA=0 CXX=c++ \
		TINYGRAD_AI_CFLAGS="-fsanitize=address,undefined -fno-sanitize-recover=all -O1 -g" \
		$(abspath $(RUN)) setup.py --quiet build_ext --inplace
	cd $(SANITIZED) && LD_PRELOAD=$(call library,asan):$(call library,stdc++) \
		ASAN_OPTIONS=detect_leaks=0 TINYGRAD_AI_CACHE=0 TINYGRAD_AI_REQUIRE=native \
		$(abspath $(RUN)) -m pytest -q -k "not fork" tests/test_native*.py $(ARGS)

$(VENV)/.made:
	$(PYTHON) -m venv $(VENV)
	touch $@

# A stamp for each extra; made anew when the requirements or the kernels' sources change, and as
# long as the kernels are not built: a compiler may have come since.
UNBUILT := tinygrad_ai/backend/native.txt
SOURCES := setup.py $(wildcard csrc/*.h csrc/cpu/*)
$(VENV)/.%: pyproject.toml constraints.txt $(SOURCES) | $(VENV)/.made
	$(RUN) -m pip install --quiet --editable '.[$*]' --constraint constraints.txt
	@if [ -s $(UNBUILT) ]; then echo "without the compiled kernels, slower: $$(cat $(UNBUILT))"; \
		else touch $@; fi

clean:
	rm -rf $(VENV) build *.egg-info runs
