PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
INTEGRATIONS := .venv-integrations/.installed
CORPUS ?= ../shared/corpus
# The zoo of trainings: 1 is the full one (about an hour on two cores), 0.1 takes minutes.
ZOO ?= .bench/zoo
ZOO_SIZE ?= 1
ZOO_SEED ?= 0
REPAIR_SIZE ?= 1
LR_CACHE ?= .bench/lr_find
LR_PEERS := .venv-lr-peers/.installed

.PHONY: demo test test-integrations lint coverage dev docs check-docs fixtures clean
.PHONY: bench-corpus bench-startup bench-series bench-render bench-fleet bench-trackers bench-read bench-tensors bench-lab bench-stats bench-smdebug bench-recorder
.PHONY: bench-lr-find zoo bench-zoo bench-classifiers fit-classifier bench-causes bench-repair fit-causes

demo: $(STAMP)
	@$(BIN)/ctroubleshoot demo

# One thread a process: two that train small networks side by side would wait for each other.
test: $(STAMP) lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

# The callbacks of the recorder with the real frameworks, in an environment of their own (about five minutes to install).
test-integrations: $(INTEGRATIONS)
	.venv-integrations/bin/python -m pytest tests/integrations

$(INTEGRATIONS): tests/integrations/requirements.txt pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-integrations
	.venv-integrations/bin/python -m pip install --quiet --upgrade "pip>=26"
	.venv-integrations/bin/python -m pip install --quiet -c constraints.txt torch==2.13.0
	.venv-integrations/bin/python -m pip install --quiet -c constraints.txt -r tests/integrations/requirements.txt -e ".[dev]"
	@touch $(INTEGRATIONS)

# The site, into site/: pages with pictures of real runs (about a minute), then mkdocs from an environment of its own.
docs: $(STAMP) .venv-docs/.installed
	@OMP_NUM_THREADS=1 $(BIN)/python docs/site_pages/build.py .docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict --quiet

# Every page of it in headless Chromium, as benchmarks/site.py says.
check-docs: docs
	@$(BIN)/python benchmarks/site.py site

.venv-docs/.installed: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/python -m pip install --quiet -r docs/requirements.txt
	@touch $@

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

coverage: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --cov --cov-report=term-missing

bench-corpus: $(STAMP)
	@$(BIN)/python benchmarks/corpus.py $(CORPUS)

bench-startup: $(STAMP)
	@$(BIN)/python benchmarks/startup.py

bench-read: $(STAMP)
	@for what in csv tensorboard jsonl text; do $(BIN)/python benchmarks/read_$$what.py || exit 1; done

# W&B's own reader in Python was last part of 0.29; some six minutes on two cores.
bench-trackers: $(STAMP) .venv-wandb/.installed
	@WANDB_PYTHON=.venv-wandb/bin/python $(BIN)/python benchmarks/read_wandb.py
	@$(BIN)/python benchmarks/read_mlflow.py

.venv-wandb/.installed:
	$(PYTHON) -m venv .venv-wandb
	.venv-wandb/bin/python -m pip install --quiet wandb==0.29.0
	@touch $@

bench-stats: $(STAMP)
	@$(BIN)/python benchmarks/stats.py

bench-smdebug: $(STAMP)
	@$(BIN)/python benchmarks/smdebug_peer.py

bench-recorder: $(STAMP)
	@$(BIN)/python benchmarks/recorder.py --peers
	@$(BIN)/python benchmarks/recorder_kill.py

# Every run of the corpus against small parsers that share nothing with the readers.
bench-series: $(STAMP)
	@$(BIN)/python benchmarks/series.py $(CORPUS)

bench-render: $(STAMP)
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/render.py

bench-fleet: $(STAMP)
	@$(BIN)/python benchmarks/fleet.py

# The rules on tensors over real trainings with five seeds each, where the tests have two.
bench-lab: $(STAMP)
	@LAB_SEEDS=5 OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile tests/lab tests/rules

bench-tensors: $(STAMP)
	@$(BIN)/python benchmarks/tensors.py

# Trains what is missing of the zoo; goes on where it was interrupted.
zoo: $(STAMP)
	@cd benchmarks && OMP_NUM_THREADS=1 $(abspath $(BIN))/python -m zoo $(abspath $(ZOO)) --size $(ZOO_SIZE) --seed $(ZOO_SEED)

bench-zoo: zoo
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/zoo_bench.py $(ZOO)

bench-classifiers: zoo
	@$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[bench]"
	@for by in architecture dataset; do OMP_NUM_THREADS=1 $(BIN)/python benchmarks/classifiers.py $(ZOO) --by $$by || exit 1; done

# Writes convergence_cli/features/classifier.json.
fit-classifier: zoo
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fit_classifier.py $(ZOO)

# Writes convergence_cli/diagnosis/causes.json.
fit-causes: zoo
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/fit_causes.py $(ZOO)

bench-causes: zoo
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/causes.py $(ZOO)

# Trains faulty runs again with their remedies; REPAIR_SIZE 1 is all of them (hours), 0.13 a quarter of an hour.
bench-repair: zoo
	@OMP_NUM_THREADS=1 $(BIN)/python benchmarks/repair.py $(ZOO) --size $(REPAIR_SIZE)

# Sweeps (three quarters of an hour on two cores) and the public finders' suggestions are kept in LR_CACHE.
bench-lr-find: $(STAMP) $(LR_CACHE)/peers.json
	@cd benchmarks && OMP_NUM_THREADS=1 PYTHONPATH=$(abspath tests) $(abspath $(BIN))/python -m lr_find --cache $(abspath $(LR_CACHE))

$(LR_CACHE)/peers.json: | $(LR_PEERS)
	@mkdir -p $(LR_CACHE)
	@cd benchmarks && PYTHONPATH=$(abspath .):$(abspath tests) $(abspath $(dir $(LR_PEERS)))/bin/python -m lr_find.peers \
		--out $(abspath $(LR_CACHE))/peers.json --seeds 11 12 13 14 15

$(LR_PEERS): benchmarks/lr_find/requirements.txt
	$(PYTHON) -m venv $(dir $(LR_PEERS))
	$(dir $(LR_PEERS))bin/python -m pip install --quiet -c constraints.txt torch==2.13.0
	$(dir $(LR_PEERS))bin/python -m pip install --quiet -c constraints.txt -r benchmarks/lr_find/requirements.txt
	@touch $(LR_PEERS)

dev: $(STAMP)

# pip before 26 writes start scripts that import re, which costs half an interpreter start.
# torch first and by its pin: a bare requirement would pull a build of several gigabytes.
$(STAMP): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=26"
	$(BIN)/python -m pip install --quiet --upgrade-strategy only-if-needed -c constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev,plot,torch]"
	@# As pip does for a package that is not editable; an environment may forbid it at run time.
	@$(BIN)/python -m compileall -q convergence_cli
	@touch $(STAMP)

# The frameworks that write the fixtures live in an environment of their own; takes about five minutes.
fixtures:
	$(PYTHON) -m venv .venv-fixtures
	.venv-fixtures/bin/python -m pip install --quiet torch==2.13.0
	.venv-fixtures/bin/python -m pip install --quiet -r fixtures/requirements.txt -e .
	set -e; for what in hdf5 sacred clearml ray stable_baselines databases metric_files keras lightning huggingface tensorboard text trees trackers tensors recorder demo; do \
		.venv-fixtures/bin/python fixtures/make_$$what.py; done

clean:
	rm -rf $(VENV) .venv-fixtures .venv-integrations .venv-lr-peers .venv-docs .venv-wandb .docs site build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage*
