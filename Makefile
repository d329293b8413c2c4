.PHONY: demo test check bench mutants docs clean
PYTHON ?= python3
export PYTHON
unexport PYTHONDONTWRITEBYTECODE # without compiled files each of the many processes of the tests compiles torch anew
READY := .venv/.ready

demo: $(READY)  ## train on real digits; the run folder is runs/digits
	.venv/bin/dltools run classification out=runs/digits
	@echo "run folder: $(CURDIR)/runs/digits"

test: $(READY)  ## the tests, on two processes; a test file stays on one, and one that hangs ends it
	@.venv/bin/python -m pytest -n 2 --dist loadfile --max-worker-restart 0

check: $(READY)  ## lint, types, layers, the wheel
	@scripts/check

bench: $(READY)  ## ratios to peers
	@scripts/bench

mutants: $(READY)  ## do the tests see small faults in the foundations? an hour or two; GROUPS="meters dist" are some of them
	@scripts/venv .venv -r requirements.txt "mutmut>=3.8,<4"
	@.venv/bin/python scripts/mutants.py $(GROUPS)

docs: $(READY)  ## the reference as HTML
	@.venv/bin/pdoc --docformat restructuredtext --math --output-directory build/docs dltools
	@echo "open build/docs/index.html"

$(READY): pyproject.toml requirements.txt scripts/venv
	scripts/venv .venv -r requirements.txt
	@touch $@

clean:  ## all that the commands above have made, save the runs
	rm -rf .venv build dist .hypothesis .mypy_cache .pytest_cache .ruff_cache *.egg-info
