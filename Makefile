# make setup   the Python environment in .venv
# make demo    animate examples/portrait.png with examples/driving.mp4 into output/
# make test    every test; those in tests/host and tests/ui run in a real ComfyUI, which this makes (see host)
# make lint    ruff, mypy, and import-linter: which module may import which
# make host    a ComfyUI for the tests in .host: the one at COMFYUI_PATH, or else a downloaded one
# make package what the registry delivers, checked, in dist/megactor.zip

PYTHON ?= python3
VENV ?= .venv
# Tests that run at the same time.
JOBS ?= 2
# Another build of PyTorch, for example one without CUDA, which is much smaller on Linux:
#   make setup TORCH="torch --index-url https://download.pytorch.org/whl/cpu"
TORCH ?= torch==2.13.0

HOST := $(CURDIR)/.host
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: setup demo test lint host package

setup: $(READY)

$(READY): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(0 if sys.version_info >= (3, 10) else "error: Python 3.10 or newer is needed, found %d.%d. Give another one with: make setup PYTHON=python3.12" % sys.version_info[:2])'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet $(TORCH)
	$(BIN)/python -m pip install --quiet --editable '.[data,dev,evaluation,train]'
	# OpenCV's usual package needs libGL, which servers often lack; its headless twin does not.
	$(BIN)/python -c 'import cv2' 2>/dev/null \
		|| { $(BIN)/python -m pip uninstall --quiet --yes opencv-python \
		&& $(BIN)/python -m pip install --quiet opencv-python-headless \
		&& $(BIN)/python -c 'import cv2'; }
	touch $(READY)

demo: $(READY)
	mkdir -p output
	$(BIN)/python -m megactor_core animate --reference examples/portrait.png --driving examples/driving.mp4 \
		--crop whole --output output/demo.mp4 --sheet output/demo.png --overwrite

test: $(READY) host
	-@scripts/get_browser.sh
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -rs -n $(JOBS) --dist worksteal
	@echo "and what needs the host's own Python"
	OMP_NUM_THREADS=1 COMFYUI_PATH=$(HOST)/ComfyUI $(HOST)/environment/bin/python -m pytest -q -rs -n $(JOBS) --dist worksteal tests/inside_host

host:
	@$(PYTHON) scripts/make_test_host.py --torch "$(TORCH)"

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	# The nodes reach the core by relative imports, so that they are checked as parts of one package.
	@mkdir -p .lint && ln -sfn .. .lint/megactor_pack
	MYPYPATH=.lint $(BIN)/mypy --package megactor_pack.nodes
	PYTHONPATH=.lint $(BIN)/lint-imports

package: $(READY) host
	$(BIN)/ruff check . --select S102,S307,E702
	$(BIN)/python scripts/make_package.py
