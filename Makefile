# make demo and make test are for everybody; each can be run first, on a machine with Python 3.11-3.13, make and git.
# BACKEND: cpu (default), tensorflow (with a GPU), jax or torch.

BACKEND ?= cpu
VENV ?= .venv
BIN := $(VENV)/bin
export PATH := $(abspath $(BIN)):$(PATH)
# IPython takes packages from the environment that is named here, which may be another that somebody has activated.
export VIRTUAL_ENV := $(abspath $(VENV))
export KERAS_BACKEND ?= $(if $(filter jax torch,$(BACKEND)),$(BACKEND),tensorflow)

# The first Python on this machine that is recent enough and can make virtual environments.
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	$$p -c 'import ensurepip, sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null && echo $$p && break; done)

# uv installs in seconds what takes pip minutes; where it can't be had, or fails, pip installs the same versions.
UV ?= $(BIN)/uv
VERSIONS ?= --constraint constraints.txt
INSTALL = install --quiet $(VERSIONS) --editable '.[$(BACKEND),all]'

.PHONY: setup demo test test-slow test-newest test-oldest book results results-check bench fuzz soak rehearsal lint lock address notebooks mutants page

setup: $(BIN)/.ready-$(BACKEND)

$(BIN)/.ready-$(BACKEND): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11, 3.12 or 3.13 with venv was found (on Debian: apt-get install python3-venv); set PYTHON=/path/to/python." >&2; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	-$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	UV_COMPILE_BYTECODE=1 $(UV) pip $(INSTALL) || { echo "make: uv failed; pip installs the same, in about two minutes." >&2; \
		$(BIN)/python -m pip --disable-pip-version-check $(INSTALL); }
	@# Kernels that don't warn of listeners, since what they say stays on this machine, nor of papermill's own signals.
	install -m 644 scripts/kernel.json $(VENV)/share/jupyter/kernels/python3/kernel.json
	touch $@

demo: setup
	papermill notebooks/mit_512.ipynb runs/mit_512-gap.ipynb -p head gap -p scale demo
	papermill notebooks/mit_512.ipynb runs/mit_512-wise.ipynb -p head wise -p scale demo
	$(MAKE) book
	@python scripts/found.py

book: setup
	jupyter-book build . --all -W -n --keep-going
	python scripts/check_book.py _build/html

test: setup lint
	pytest -n auto --dist loadfile --no-loadscope-reorder -m "not slow"

test-slow: setup
	pytest -n auto --dist loadfile --no-loadscope-reorder -m slow

# make test with the newest and with the oldest versions that pyproject.toml allows, each in an environment of its own.
test-newest:
	$(MAKE) test VENV=.venv-newest VERSIONS='--upgrade --resolution highest'

test-oldest:
	$(MAKE) test VENV=.venv-oldest VERSIONS='--resolution lowest-direct'

# Exact versions for everybody but Colab: the newest of today that pyproject.toml allows, for Python 3.11 to 3.13.
lock: setup
	$(UV) pip compile pyproject.toml --quiet --universal --all-extras --python-version 3.11 --upgrade \
		--no-annotate --no-emit-index-url --custom-compile-command "make lock" --output-file constraints.txt

lint: setup
	ruff check .
	ruff format --check .
	lint-imports
	@if command -v actionlint; then actionlint; else echo "actionlint is not installed; .github/workflows is not checked."; fi

bench: setup
	python benchmarks/heads.py
	python benchmarks/pipeline.py
	python benchmarks/training.py
	python benchmarks/grid.py
	python benchmarks/book.py
	python benchmarks/setup.py

# Damaged images, lists and archives: make fuzz N=100000
N ?= 1000
fuzz: setup
	python tests/fuzz.py $(N)

# Trainings killed and typed again, compared with one that was never stopped (about 10 minutes on two cores).
TRIALS ?= 100
soak: setup
	python tests/soak.py $(TRIALS)

# Every row of the paper and the report, started once at paper scale on imitated data (about 32 minutes on two cores).
rehearsal: setup
	python tests/rehearsal.py --out _build/rehearsal.json

# The committed records: every demo row and the experiments (results/protocol.md), trained from a clean tree (three hours
# on two cores; what is done is skipped), and the picture.
results: setup
	snakemake -s workflow/Snakefile --cores 2 results
	python scripts/picture.py

# Some of the committed records, drawn at random, are trained again and compared: make results-check RUNS=2 SEED=7
RUNS ?= 2
SEED ?= $(shell date +%j)
results-check: setup
	python scripts/results_check.py --runs $(RUNS) --seed $(SEED)

# The notebooks as they are stored: executed at demo scale (about 33 minutes on two cores, less where runs/ has their runs).
notebooks: setup
	python scripts/store_notebooks.py

# An executed notebook as a page beside it, which any browser shows: make page NOTEBOOK=runs/mit_512-wise.ipynb
page: setup
	$(if $(NOTEBOOK),,$(error Say which: make page NOTEBOOK=runs/mit_512-wise.ipynb))
	mystnb-docutils-html5 --nb-execution-mode=off --nb-output-folder="$(CURDIR)/_build/page" --image-loading=embed \
		"$(NOTEBOOK)" "$(NOTEBOOK:.ipynb=.html)"
	@echo "The page is $(NOTEBOOK:.ipynb=.html)."

# make address URL=https://github.com/<owner>/<repository>
address: setup
	python scripts/address.py "$(URL)"

# Small faults put into the code one at a time, and its tests run on each: which are noticed (an hour on two cores).
mutants: setup
	python tests/mutants.py
