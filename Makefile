# make demo    train on real digits and draw what happened          make bench    asv, this commit in this environment
# make test    the tests, in two minutes on two cores                make lint     ruff, mypy, import contracts
# make nightly the tests that take long and guard what changes seldom
# make levels  the tests of the kernels at each processor level that this machine has
# make docs    the documentation as a site, into site/
# make notebooks   run the notebooks of docs/notebooks anew and write their outputs into them
# make compare fastbp beside JAX, PyTorch, scikit-learn, onnxruntime: the tables of the README
# make tables  fastbp's commands on raw public tables, beside scikit-learn: fetches packages, half an hour
# make tables-compare   the tabular estimators beside boosted trees, other networks and linear models: the page of the
#              comparison; takes hours, and continues where it was stopped
# make portfolio  choose the configurations that fastbp.tabular tries first; takes hours, and continues likewise
# make stress  kills, full disks and forged files by the thousand, 20 GB streamed, some minutes
# make matrix  all tests on each Python that is installed, with the oldest and the newest numpy and numba
# make wheel   the source distribution, and a wheel with the kernels for all processor levels, into dist/;
#              PLATFORM=linux-aarch64 makes it for another system: hatch_build.py lists the names
# make dist    empties dist/, makes the wheel for this system, and checks it for PyPI
# make arm     tests of the kernels on an emulated arm64 processor, in ten minutes; needs root and mmdebstrap
# make oldest  a minute's comparison with the reference, with the oldest numpy and numba that pyproject.toml admits
PYTHON ?= python3
VENV := .venv
SCRIPTS := $(if $(filter Windows_NT,$(OS)),Scripts,bin)
BIN := $(VENV)/$(SCRIPTS)
OLDEST := .venv-oldest

.PHONY: demo test nightly levels docs notebooks stress matrix oldest lint format bench compare tables tables-compare portfolio wheel dist arm check-tag clean

demo: $(VENV)/.demo
	$(BIN)/python examples/demo.py

# In two processes; tests/conftest.py says which tests stay in one, one after another.
test: $(VENV)/.test
	$(BIN)/python -m pytest -n 2 --dist loadscope --no-loadscope-reorder

nightly: $(VENV)/.test
	$(BIN)/python -m pytest -m nightly

levels: $(VENV)/.test
	$(BIN)/python -m tests.levels

# The variable silences the theme's notice about its successor.
docs: $(VENV)/.docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

notebooks: $(VENV)/.docs
	$(BIN)/python -m tests.notebooks

stress: $(VENV)/.test
	$(BIN)/python -m tests.stress

matrix: $(VENV)/.matrix
	$(BIN)/nox

oldest: $(OLDEST)/.installed
	FASTBP_CACHE_DIR=$(OLDEST)/cache $(OLDEST)/$(SCRIPTS)/python -m tests.oldest

$(OLDEST)/.installed: pyproject.toml tests/oldest.py
	$(PYTHON) -m venv $(OLDEST)
	$(OLDEST)/$(SCRIPTS)/python -m pip install --quiet --editable . $$($(OLDEST)/$(SCRIPTS)/python tests/oldest.py --pins)
	touch $@

lint: $(VENV)/.lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.lint
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.bench
	$(BIN)/asv machine --yes
	$(BIN)/asv run --python=same --quick --show-stderr

# The usual torch for Linux brings gigabytes of CUDA; its build for the CPU, installed into .venv first, is all that this takes.
compare: $(VENV)/.compare
	$(BIN)/python -m bench.compare --write

# TABLES="--only penguins flights" for some of them; bench/tables.py has more options.
tables: $(VENV)/.cli
	$(BIN)/python -m bench.tables $(TABLES)

# COMPARE="--models fastbp linear --seconds 10" for a part of it; bench/tables_compare.py has more options.
tables-compare: $(VENV)/.tables-compare
	$(BIN)/python -m bench.tables_compare --write $(COMPARE)

# PORTFOLIO="--samples 50 --only pima german" for less; bench/portfolio.py has more options.
portfolio: $(VENV)/.tables
	$(BIN)/python -m bench.portfolio --write $(PORTFOLIO)

# The wheel is made from the source distribution, so it contains nothing else, and two runs give the same bytes.
wheel: $(VENV)/.dist
	FASTBP_BUILD_LEVELS=all FASTBP_BUILD_PLATFORM=$(PLATFORM) $(BIN)/python -m build --outdir dist

dist: $(VENV)/.dist
	rm -rf dist
	$(MAKE) wheel PLATFORM=
	$(BIN)/python -m twine check --strict dist/*

arm: $(VENV)/.dist
	$(MAKE) wheel PLATFORM=linux-aarch64
	PYTHON=$(BIN)/python tests/arm.sh dist/*_aarch64.whl

# A release's tag must be the version: make check-tag TAG=v0.1.0
check-tag:
	test "$(TAG)" = "v$$(sed -n 's/^__version__ = "\(.*\)"/\1/p' fastbp/__init__.py)"

clean:
	rm -rf dist $(VENV) $(OLDEST) .asv site demo.png

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# These run no kernels, or build their own with another Numba.
$(VENV)/.lint $(VENV)/.dist $(VENV)/.matrix $(OLDEST)/.installed: export FASTBP_BUILD_LEVELS = none

# One stamp for each set of extras: an install happens once, and again when pyproject.toml changes.
$(VENV)/.%: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	touch $@
