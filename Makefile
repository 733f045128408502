# Each target makes its own environment in .venv from pyproject.toml and constraints.txt.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: demo test fuzz lint format accuracy accuracy-gpu published peers app onnx docs wheel clean

demo: $(VENV)/.capture  ## seven small models, measured and predicted on this machine
	$(BIN)/condsim demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n auto --dist loadgroup

fuzz: $(VENV)/.dev  ## 20,000 damaged inputs, those that fail are kept in fuzz-found/; laws on many cases; kills
	PYTHONPATH=tests $(BIN)/python -m fuzz
	EXAMPLES=100 $(BIN)/python -m pytest tests/predict/test_laws.py
	$(BIN)/python -m pytest -m slow tests/test_kills.py tests/trace/test_saving.py

lint: $(VENV)/.dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --num-workers auto

format: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

accuracy: $(VENV)/.dev  ## calibrate and measure 290 cases of 43 models here, about 45 minutes; goes on where it was stopped; then 45 training steps
	$(BIN)/python -m benchmarks.accuracy
	$(BIN)/python -m benchmarks.training

accuracy-gpu: $(VENV)/.dev  ## predicted against layers that others measured on GPUs
	$(BIN)/python -m benchmarks.gpu_tables --worth
	$(BIN)/python -m benchmarks.gemm_tables

published: $(VENV)/.dev  ## predicted against what others published of other devices
	$(BIN)/python benchmarks/published.py

peers: $(VENV)/.dev  ## condsim beside other tools on the same measured rows; installs them into the cache of this user
	$(BIN)/python -m benchmarks.peers

onnx: $(VENV)/.dev  ## strategy switched beside real partitions of onnxruntime
	$(BIN)/python -m benchmarks.onnx_partitions

app: $(VENV)/.all
	$(BIN)/condsim app

docs: $(VENV)/.dev  ## the docs site, in site/
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

wheel: $(VENV)/.dev  ## in dist/
	rm -rf build
	$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

clean:
	rm -rf $(VENV) build dist site demo-out fuzz-found .mypy_cache .pytest_cache .ruff_cache

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.capture: pyproject.toml constraints.txt setup.py | $(BIN)/python
	$(INSTALL) --editable '.[capture]'
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt setup.py | $(BIN)/python
	$(INSTALL) --editable '.[dev]'
	touch $@

$(VENV)/.all: pyproject.toml constraints.txt setup.py | $(BIN)/python
	$(INSTALL) --editable '.[all]'
	touch $@
