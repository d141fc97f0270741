# One definition of "works" and of "passes", for people and for CI.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
WORKERS ?= 2

.PHONY: demo test redteam check bench-search docs format clean

demo: $(VENV)/.installed  ## the main job on the routing example: about 15 minutes on 2 CPU cores
	$(BIN)/tunewright run examples/routing/brief.md --review never

test: $(VENV)/.installed  ## every test this machine can run; docker tests run where an Engine answers
	$(BIN)/pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

redteam: $(VENV)/.installed  ## cheating agents and hostile trials: none succeeds and each leaves an event
	$(BIN)/pytest tests/redteam

check: $(VENV)/.installed  ## lint, format, types, layers, links
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/pytest tests/test_house.py

bench-search: $(VENV)/.installed  ## studies of every search method over recorded trainings: about 10 minutes on 2 CPU cores
	$(BIN)/python benchmarks/search/bench.py --workers $(WORKERS)

docs: $(VENV)/.installed  ## the pages that are made from the code
	$(BIN)/python -m tunewright.tools.training.card docs/methods
	$(BIN)/python -m tunewright.agents.toolbox.page docs/tools.md
	$(BIN)/python -m tunewright.agents.drawing docs/agents/graph.md

format: $(VENV)/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:  ## everything but the studies
	rm -rf $(VENV) build dist src/*.egg-info .mypy_cache .ruff_cache .pytest_cache

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check 'pip>=25.1'  # older ones need minutes to resolve
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,examples]'
	touch $@
