# The menu. `make` lists it.
PYTHON ?= python3
DATASET ?= sample
# The page's model: the released one, or else that of your own run.
MODEL ?= $(if $(wildcard models/release/tfjs),models/release,models/$(DATASET)/compact/exports)
BIN := .venv/bin

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

run: .venv/installed  ## run notebooks 01 to 06; DATASET=sample, face-mask-12k, fmd, a folder or a zip
	@$(BIN)/python -m facemask run --dataset "$(DATASET)"

lab: .venv/installed  ## open the notebooks in JupyterLab
	$(BIN)/jupyter lab notebooks

test: .venv/installed  ## run every test; FACEMASK_ARCHIVES=<folder of zips> adds those on photographs
	$(BIN)/python -m pytest

web: .venv/installed  ## build the web page from MODEL into web/dist and serve it; needs Node.js
	@$(BIN)/python web/build.py "$(MODEL)"
	@echo "The page is at http://localhost:8000; stop it with Ctrl+C"
	@$(BIN)/python -m http.server --directory web/dist --bind 127.0.0.1 8000

bench: .venv/installed  ## measure speed and size, after make run DATASET=face-mask-12k; a quarter of an hour
	@$(BIN)/python -m facemask.benchmarks.speed

torture: .venv/installed  ## kill runs, fill disks, spoil files, judge for long; half a day
	@$(BIN)/python -m facemask.torture

notebooks: run  ## run the notebooks on DATASET and save them, without photographs, for committing
	$(BIN)/python -m facemask.notebooks save --dataset "$(DATASET)"

release: archives .venv/installed  ## make models/release again from the zips in ARCHIVES, and print what changed
	$(BIN)/python -m facemask.release.publish "$(ARCHIVES)"

finder: archives .venv/installed  ## train the face finder again into models/finder, and measure it; under three hours
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-bench.txt
	$(BIN)/python -m facemask.finder.publish "$(ARCHIVES)"
	$(BIN)/python -m facemask.finder.measure "$(ARCHIVES)"

lock: .venv/installed  ## pin requirements.txt anew
	$(BIN)/python -m pip install -q uv
	# backports-strenum 1.3 refuses Python 3.11, which uv overlooks
	echo "backports-strenum<1.3" | $(BIN)/uv pip compile --quiet --universal --python-version 3.10 \
		--no-header --no-annotate --generate-hashes --constraint /dev/stdin requirements.txt -o requirements.lock

docs: .venv/installed  ## build the documentation into site/
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-docs.txt
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict --quiet

clean:  ## remove the environment; data and models stay
	rm -rf .venv

archives:
	@test -n "$(ARCHIVES)" || { echo "name the folder of the zips: make $(MAKECMDGOALS) ARCHIVES=folder" >&2; exit 2; }

.venv/installed: requirements.lock
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(not (3, 10) <= v <= (3, 12) and \
		"Python %d.%d will not do: TensorFlow needs 3.10 to 3.12; name one with make PYTHON=python3.12" % v)'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	@touch $@

.PHONY: help run lab test web bench torture notebooks release finder archives lock docs clean
