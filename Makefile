# Every target sets up what it needs in .venv.
PYTHON ?= python3
SEED ?= 0
OUT ?= demo-run
MINUTES ?= 5
BIN := .venv/bin

.PHONY: demo test test-gpu lint docs dist pictures bench bench-gpu limits fuzz attack results clean

demo: .venv/installed  ## the whole path on generated data, then a report
	rm -rf $(OUT)
	$(BIN)/maskel demo --out $(OUT) --seed $(SEED)

test: .venv/installed lint  ## everything that CI checks
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist worksteal

test-gpu: .venv/installed  ## what needs a GPU; elsewhere it is skipped, and pytest says so
	$(BIN)/pytest -q -rs -m gpu

# The spell checker gets the folders of the project: packed joints of a page in demo-run may look like a word.
lint: .venv/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/codespell src tests benchmarks docs *.md *.cff *.yml *.toml Makefile

docs: .venv/installed  ## the documentation site, in site/; a warning is an error
	$(BIN)/python docs/build_site.py

dist: .venv/installed  ## sdist and wheel in dist/, checked; the wheel is tried in an empty environment
	rm -rf dist
	$(BIN)/python -m build --no-isolation
	$(BIN)/twine check --strict dist/*
	$(BIN)/python tests/try_wheel.py dist

pictures: .venv/installed  ## the pictures of the documentation, from a demo and two more pre-trainings
	$(BIN)/python docs/pictures.py $(OUT)

bench: .venv/installed  ## speed, each against the plain way of doing the same
	$(BIN)/python benchmarks/parse_ntu.py
	$(BIN)/python benchmarks/prepare.py
	$(BIN)/python benchmarks/npz.py
	$(BIN)/python benchmarks/loading.py
	$(BIN)/python benchmarks/training_step.py
	$(BIN)/python benchmarks/finetuning_step.py
	$(BIN)/python benchmarks/inference.py
	$(BIN)/python benchmarks/hacm_criterion.py
	$(BIN)/python benchmarks/exchange.py
	$(BIN)/python benchmarks/long_run.py
	$(BIN)/python benchmarks/busy.py --config mamp --config ntu60_xsub --training.precision auto

bench-gpu: .venv/installed  ## the same for a GPU; without one they say so and measure nothing
	$(BIN)/python benchmarks/attention.py
	$(BIN)/python benchmarks/gpu_steps.py
	$(BIN)/python benchmarks/busy.py --config mamp --config ntu60_xsub --config fast

limits: .venv/installed  ## what reading the worst files costs, each at its largest: half an hour, 10 GB of disk
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/reading_limits.py

fuzz: .venv/installed  ## 10,000 damaged files of every format through every reader
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python tests/fuzz.py --cases 10000

attack: .venv/installed  ## kills and races of every command, for MINUTES
	OMP_NUM_THREADS=1 PYTHONPATH=tests $(BIN)/python tests/attack.py --minutes $(MINUTES)

results: .venv/installed  ## the generated tables of docs, from docs/runs and the published numbers
	$(BIN)/python docs/generate.py

.venv/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,docs,onnx,plot]'
	touch $@

clean:
	rm -rf .venv demo-run site dist build .pytest_cache .mypy_cache .ruff_cache
