# make lab     open the course in JupyterLab          (ARGS="--no-browser --port=9000" passes options on)
# make test    run every test, two files at a time    (ARGS="-k tape" passes options on)
# make check   lint, types, imports, notebooks, docstrings
# make bench   measure; prints figures, checks nothing
# Each of them makes .venv first, from nothing but Python 3.11 or newer.

PYTHON ?= python3
BIN := .venv/bin
LAB := .venv/installed-lab
TEST := .venv/installed-test
WITH_TESTS := .[test,browser]

# Stamps are worth nothing when the Python they speak of has gone.
$(shell $(BIN)/python -m pip --version >/dev/null 2>&1 || rm -f $(LAB) $(TEST))

.PHONY: lab test check bench

lab: $(LAB)
	@$(BIN)/python -c 'import sys; from pagelab import course; course.serve("notebooks", sys.argv[1:])' $(ARGS)

test: $(TEST)
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

check: $(TEST)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/nbstripout --keep-id --verify notebooks/*.ipynb
	$(BIN)/python -m pytest -q tests/test_house.py tests/test_notebooks_form.py

bench: $(TEST)
	$(BIN)/python tests/bench.py $(ARGS)

# A .venv that works is kept; one that is missing or half made is made anew.
define install
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "pagelab needs Python 3.11 or newer: make PYTHON=python3.12, say")'
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '$(1)'
endef

$(LAB): pyproject.toml
	$(call install,.)
	@touch $@

$(TEST): pyproject.toml
	$(call install,$(WITH_TESTS))
	@touch $(LAB) $@
