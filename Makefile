# make demo: everything on a fresh machine. make check: what CI runs.
PYTHON ?= python3
BIN := .venv/bin

# The model that ships, the default one first.
SHIPPED := $(firstword $(sort $(wildcard lstmcli/pretrained/*.pt)))

# Other processors, as far as this one can play them. LEAST runs where oneDNN and ATen know no vectors wider than SSE.
LEAST := ONEDNN_MAX_CPU_ISA=SSE41 ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=1
KERNELS := tests/golden tests/contract tests/unit/test_runtime.py tests/unit/test_assemble.py tests/e2e/test_predict.py

.PHONY: setup demo format lint types test test-slow test-least test-machines test-pythons test-oldest cover bench table curve behaviour pretrained check clean

setup: .venv/.done

.venv/.done: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,budget,excel,glove]'
	touch $@

demo: setup
	$(BIN)/lstmcli predict -c $(SHIPPED) "A warm, sharp film that is over far too soon." "It stopped working after two days." "Best kettle I ever had."
	$(BIN)/lstmcli evaluate -c $(SHIPPED) --data opinions
	$(BIN)/lstmcli train opinions --out runs/demo --force
	$(BIN)/lstmcli evaluate -c runs/demo/model.pt
	$(BIN)/lstmcli adapt --shots 5 --data hwu64:transport -c $(SHIPPED)
	$(BIN)/lstmcli train hwu64-maml --learner ridge --out runs/demo-intents --force
	$(BIN)/lstmcli evaluate --shots 5 --ways 5 --episodes 50 -c runs/demo-intents/model.pt
	@echo "Next: source $(BIN)/activate, then  lstmcli predict 'your own text'  or  lstmcli train your.csv"

format:
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

lint: setup
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: setup
	$(BIN)/mypy

test: setup
	$(BIN)/pytest -q -n 2 --dist loadfile

test-slow: setup
	$(BIN)/pytest -q -n 2 -m slow

cover: setup
	$(BIN)/coverage erase
	$(BIN)/coverage run -m pytest -q -n 2 --dist loadfile
	$(BIN)/coverage combine -q
	$(BIN)/coverage report

test-least: setup
	env $(LEAST) $(BIN)/pytest -q -n 2 --dist loadfile $(KERNELS)

test-machines: setup
	env $(LEAST) $(BIN)/pytest -q -n 2 --dist loadfile
	ONEDNN_MAX_CPU_ISA=AVX2 $(BIN)/pytest -q -n 2 --dist loadfile
	ATEN_CPU_CAPABILITY=default $(BIN)/pytest -q -n 2 --dist loadfile
	ATEN_CPU_CAPABILITY=avx2 OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 --dist loadfile
	OMP_NUM_THREADS=2 $(BIN)/pytest -q -n 2 --dist loadfile

test-pythons: setup
	$(BIN)/python -m tests.pythons

test-oldest: setup
	$(BIN)/python -m tests.oldest

bench: setup
	$(BIN)/python -m tests.bench

table: setup
	$(BIN)/python -m tests.bench.table

curve: setup
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[teacher]'
	$(BIN)/python -m tests.bench.curve

behaviour: setup
	$(BIN)/python -m tests.bench.behaviour $(MODELS)

check: lint types test test-least test-slow test-pythons

pretrained: setup
	for recipe in imdb-lm imdb-pretrained imdb-taught imdb-small; do $(BIN)/lstmcli train $$recipe --force || exit 1; done
	$(BIN)/python -m lstmcli.storage.compact runs/imdb-small/model.pt lstmcli/pretrained/imdb.pt
	$(BIN)/lstmcli evaluate -c runs/imdb-small/model.pt
	$(BIN)/lstmcli evaluate -c lstmcli/pretrained/imdb.pt
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[teacher]'
	$(BIN)/python -m tests.bench.teacher runs/sentences.parquet
	$(BIN)/lstmcli train english --force
	$(BIN)/python -m lstmcli.storage.compact runs/english/model.pt lstmcli/pretrained/english.pt 30000 lstmcli/pretrained/names.txt
	$(BIN)/lstmcli evaluate -c english --data imdb

clean:
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis .coverage*
