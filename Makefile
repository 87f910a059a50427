# Bare `make` prints the targets. Each sets up the environment that it needs by itself.

ARCHIVE ?= training_set.npz
PRESET  ?= full
ROOT    ?= .
FOLDS   ?=
SEED    ?=
ARGS    ?=
PYTHON  ?= $(shell for p in python3.11 python3.12 python3.13 python3; do \
             $$p -c '$(SUITS)' 2>/dev/null && { echo $$p; break; }; done)

# The locks hold wheels for these versions; venv needs ensurepip, a package of its own on Debian.
SUITS   := import sys, venv, ensurepip; sys.exit(not (3, 11) <= sys.version_info < (3, 14))

# What is installed stays: after `make setup GPU=1` no other target needs GPU=1; GPU=0 goes back.
GPU     ?= $(if $(wildcard .venv/.ready-gpu),1,0)
KIND    := $(if $(filter-out 0,$(GPU)),gpu,cpu)
OTHER   := $(if $(filter gpu,$(KIND)),cpu,gpu)
READY   := .venv/.ready-$(KIND)
PY      := .venv/bin/python
BCSUB   := .venv/bin/bcsub
INSTALL := -m pip install --quiet --disable-pip-version-check --no-build-isolation
TRAIN    = $(if $(FOLDS),--folds $(FOLDS)) $(if $(SEED),--seed $(SEED)) $(ARGS)

# What `make test-matrix` runs, each in an environment of its own: .venv-jax, .venv-tf215, ...
RUNTIMES := tf215 tf217
# Tracing keeps one core busy; a file's fixtures are made once; tests/conftest.py says which go first.
BOTH     := -n 2 --dist loadfile --no-loadscope-reorder
MATRIX   := $(foreach name,jax $(RUNTIMES),.venv-$(name)/.ready)
JAX      := $(addprefix tests/,$(addsuffix .py,bcsub/test_doctor bcsub/test_train \
            $(addprefix trainers/test_,backend bench_depthwise checkpoint convnext devices fit \
            layers networks objective train trial two_devices)))
JAX_BUT  := not convnext-base-87 and not convnext-large-196

.NOTPARALLEL:
.PHONY: help setup demo prepare train-all ensemble submission emulate test test-matrix check bench \
        clean clean-env lock

help:
	@echo 'make TARGET [NAME=value ...]'
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  %-12s%s\n", $$1, $$2}' Makefile
	@echo 'ARCHIVE=$(ARCHIVE) PRESET=$(PRESET) ROOT=$(ROOT) FOLDS=$(FOLDS) SEED=$(SEED) ARGS=$(ARGS)'

setup: $(READY) ## Install everything into .venv from a lock; GPU=1 takes TensorFlow with CUDA
	@echo 'ready: .venv, from requirements/$(KIND).lock'

demo: demo/training_set.npz ## The whole road on drawn cells, no data or GPU needed; in demo/
	$(BCSUB) prepare demo/training_set.npz --root demo
	$(BCSUB) train --all --preset demo --root demo
	$(BCSUB) ensemble --root demo
	$(BCSUB) pack --root demo
	$(BCSUB) emulate --root demo

demo/training_set.npz: | $(READY)
	$(BCSUB) draw $@

prepare: $(READY) ## Clean and split ARCHIVE into work/dataset.h5
	$(BCSUB) prepare $(ARCHIVE) --root $(ROOT) $(ARGS)

train-all: $(READY) ## Train every member that has the PRESET (full, cpu, demo); FOLDS, SEED, ARGS
	$(BCSUB) train --all --preset $(PRESET) --root $(ROOT) $(TRAIN)

ensemble: $(READY) ## Choose weights and views; write submission/weights.h5
	$(BCSUB) ensemble --root $(ROOT) $(ARGS)

submission: $(READY) ## Pack submission/ into a zip in dist/
	$(BCSUB) pack --root $(ROOT) $(ARGS)

emulate: $(READY) ## Run the newest zip as the platform would and score it
	$(BCSUB) emulate --root $(ROOT) $(ARGS)

test: $(READY) ## Run the tests; ARGS go to pytest
	$(PY) -m pytest $(BOTH) $(ARGS)

test-matrix: $(READY) $(MATRIX) ## Train with JAX; run what is uploaded under other TensorFlows
	KERAS_BACKEND=jax .venv-jax/bin/python -m pytest $(BOTH) $(JAX) -k '$(JAX_BUT)' $(ARGS)
	@set -e; bundles=$$(mktemp -d); trap 'rm -rf "$$bundles"' EXIT; \
	$(PY) -m tests.matrix.write_bundles "$$bundles"; cd "$$bundles"; \
	for name in $(RUNTIMES); do echo "$$name: the uploaded model"; \
	  '$(CURDIR)'/.venv-$$name/bin/python -m pytest -q -p no:cacheprovider test_bundles.py; done

check: $(READY) ## Lint, format, types, and who imports whom
	$(PY) -m ruff check
	$(PY) -m ruff format --check
	$(PY) -m mypy
	$(PY) -m pytest tests/test_imports.py

bench: $(READY) .venv-torch/.ready $(RUNTIMES:%=.venv-%/.ready) ## Measure the uploaded model here, beside Keras and PyTorch
	$(PY) -m trainers.bench $(ARGS)

clean: ## Remove caches, build products and demo/; keeps work/ runs/ dist/ submission/ and .venv
	rm -rf build *.egg-info .pytest_cache .mypy_cache .ruff_cache demo
	find bcsub cells emulator ensemble submission tests trainers -name __pycache__ -prune -exec rm -rf {} +

clean-env: ## Remove .venv, and the environments of test-matrix, bench and lock
	rm -rf .venv .venv-lock .venv-jax .venv-torch $(addprefix .venv-,$(RUNTIMES))

lock: ## Make requirements/*.lock anew; ARGS=--upgrade takes newer versions
	$(require-python)
	$(PYTHON) -m venv .venv-lock
	.venv-lock/bin/pip install --quiet --disable-pip-version-check uv
	echo setuptools | $(COMPILE) - -o requirements/build.lock
	$(COMPILE) pyproject.toml --extra dev -c requirements/build.lock -o requirements/cpu.lock
	$(COMPILE) pyproject.toml --extra dev --extra gpu -c requirements/cpu.lock -o requirements/gpu.lock
	$(COMPILE) pyproject.toml --extra dev --extra jax -c requirements/cpu.lock -o requirements/jax.lock
	printf '%s\n' h5py numpy pytest 'tensorflow-cpu==2.15.*' | $(COMPILE) - -o requirements/tf215.lock
	printf '%s\n' h5py numpy pytest tensorflow-cpu==2.17.0 keras==3.4.1 | \
	  $(COMPILE) - -o requirements/tf217.lock

COMPILE = .venv-lock/bin/uv pip compile $(ARGS) --quiet --no-config --universal --python-version 3.11 \
          --generate-hashes --no-emit-index-url --no-header --no-annotate

# setuptools first: one dependency has no wheel, and is built with the locked setuptools.
# Nothing is compiled to bytecode beforehand: most of those files are never imported.
$(READY): requirements/build.lock requirements/$(KIND).lock pyproject.toml
	$(require-python)
	test -x $(PY) && test ! -e .venv/.ready-$(OTHER) || $(PYTHON) -m venv --clear .venv
	rm -f $@
	$(PY) $(INSTALL) --require-hashes -r requirements/build.lock
	$(PY) $(INSTALL) --require-hashes --no-compile -r requirements/$(KIND).lock
	$(PY) $(INSTALL) --no-deps --editable .
	touch $@

# Pinned, not locked: its wheel differs by index, with CUDA or without; nothing that ships has it.
.venv-torch/.ready: requirements/torch.txt
	$(require-python)
	$(PYTHON) -m venv --clear .venv-torch
	.venv-torch/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

.venv-jax/.ready: pyproject.toml
.venv-%/.ready: requirements/build.lock requirements/%.lock
	$(require-python)
	$(require-python-3.11)
	$(PYTHON) -m venv --clear .venv-$*
	.venv-$*/bin/python $(INSTALL) --require-hashes -r requirements/build.lock
	.venv-$*/bin/python $(INSTALL) --require-hashes --no-compile -r requirements/$*.lock
	$(if $(filter jax,$*),.venv-jax/bin/python $(INSTALL) --no-deps --editable .)
	touch $@

define require-python
@$(or $(PYTHON),false) -c '$(SUITS)' 2>/dev/null || { echo 'python: expected Python 3.11 to 3.13 with \
venv, found $(or $(PYTHON),none). Install one, or name it: PYTHON=/path/to/python3.11' >&2; exit 1; }
endef

define require-python-3.11
@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || { echo 'test-matrix: expected \
Python 3.11, since TensorFlow 2.15 has wheels for no newer one, found $(PYTHON). Name it: \
PYTHON=/path/to/python3.11' >&2; exit 1; }
endef
