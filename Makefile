# make demo        install into .venv, make the embedded data set, train, test, write a report
# make test        install into .venv, run the tests
# make test-fast   only the mathematics: models, losses and metrics, without a process or a training
# make test-full   also the tests that need compiled mmcv, torchvision, mmpretrain, timm, a server of
#                  Label Studio, datumaro, minutes; and the whole suite on the OneDL fork's packages
# make docs        the site of README, docs and cards with a reference, into site/; links are checked
# make lint        ruff and mypy
# PYTHON=python3.12 and TORCH=torch==2.14.1 may be given; both orders of demo and test work.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.PHONY: demo test test-fast test-full docs lint install clean

VENV ?= .venv
TORCH ?= torch==2.13.0
PIP_FLAGS ?= -q --disable-pip-version-check
PYTEST_ARGS ?=
# Two workers with one thread each beat one worker with two; a module's tests stay with one, which
# makes their fixtures once, until the other has none left.
WORKERS ?= 2
MATHS := tests/models tests/evaluation

BUILD := "setuptools<82" wheel
METADATA := setup.py mmseg_ext/version.py
LABEL_STUDIO ?= label-studio==1.23.2
DATUMARO ?= datumaro==1.13.12
# what the extra "docs" of setup.py names, and no more
PRINT_DOCS := import runpy, setuptools; \
    setuptools.setup = lambda **given: print(*given["extras_require"]["docs"], sep="\n"); \
    runpy.run_path("setup.py", run_name="__main__")
TORCH_TAG := $(subst /,-,$(subst ==,-,$(TORCH)))

install: $(VENV)/.stamp-install

demo: $(VENV)/.stamp-install
	MMSEG_EXT_PROGRESS=1 $(VENV)/bin/python tools/demo.py --work-dir work_dirs/demo

test: $(VENV)/.stamp-install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist worksteal \
	    --durations=30 $(PYTEST_ARGS)

test-fast: $(VENV)/.stamp-install
	OMP_NUM_THREADS=1 $(VENV)/bin/python -m pytest -q -n $(WORKERS) --dist worksteal \
	    -m 'not runs' $(MATHS) $(PYTEST_ARGS)

lint: $(VENV)/.stamp-lint
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

docs: .venv-docs/.stamp-install
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	@echo "site: $$PWD/site/index.html"

test-full: $(VENV)/.stamp-install .venv-mmcv/.stamp-install .venv-torch214/.stamp-install \
    .venv-onedl/.stamp-install .venv-labelstudio/.stamp-install .venv-datumaro/.stamp-install .venv-docs/.stamp-install
	$(VENV)/bin/python .ci/test_full.py --workers $(WORKERS) \
	    default=$(VENV) mmcv=.venv-mmcv torch214=.venv-torch214
	OMP_NUM_THREADS=1 .venv-onedl/bin/python -m pytest -q -n $(WORKERS) --dist worksteal

clean:
	rm -rf $(VENV) .venv-mmcv .venv-torch214 .venv-onedl .venv-labelstudio .venv-datumaro .venv-docs .venv-peers site build *.egg-info mmseg_ext/.mim

# A folder without our stamp is an environment that somebody made: it is used as it is.
%/bin/python:
	@python="$(PYTHON)"; for name in python3 python3.12 python3.11 python3.13 python3.10 python; do \
	    [ -z "$$python" ] || break; \
	    ! $$name -c 'import sys, ensurepip, venv; sys.exit(not (3, 10) <= sys.version_info[:2] < (3, 14))' \
	        2>/dev/null || python=$$name; \
	done; \
	[ -n "$$python" ] || { echo 'error: no Python 3.10-3.13 with venv found: install one, or give PYTHON=/path/to/python' >&2; exit 1; }; \
	echo "creating $* with $$($$python --version)"; $$python -m venv $*

$(VENV)/.stamp-$(TORCH_TAG): | $(VENV)/bin/python
	@echo 'installing $(TORCH)'
	$(VENV)/bin/pip install $(PIP_FLAGS) "$(TORCH)" $(BUILD)
	rm -f $(VENV)/.stamp-torch-* && touch $@

$(VENV)/.stamp-install: $(VENV)/.stamp-$(TORCH_TAG) $(METADATA)
	@echo 'installing mmseg_ext and what it needs'
	$(VENV)/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[lite,test]'
	$(VENV)/bin/python -m mmseg_ext.env --brief
	touch $@

$(VENV)/.stamp-lint: $(VENV)/.stamp-install
	$(VENV)/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[lint]'
	touch $@

# (a) compiled mmcv and pydensecrf2: about eight minutes of compiling, once.
.venv-mmcv/.stamp-install: $(METADATA) | .venv-mmcv/bin/python
	.venv-mmcv/bin/pip install $(PIP_FLAGS) torch==2.13.0 numpy ninja cython $(BUILD)
	.venv-mmcv/bin/python -c 'import importlib.util as u, sys, torch; sys.exit(u.find_spec("mmcv") is None or u.find_spec("mmcv._ext") is None)' \
	    || MAX_JOBS=2 MMCV_WITH_OPS=1 .venv-mmcv/bin/pip install $(PIP_FLAGS) --no-deps --no-build-isolation mmcv==2.1.0
	.venv-mmcv/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[full,oracle-mmcv,test]'
	touch $@

# (b) the newest torch with its torchvision, mmpretrain and timm; ONNX for the exports.
.venv-torch214/.stamp-install: $(METADATA) | .venv-torch214/bin/python
	.venv-torch214/bin/pip install $(PIP_FLAGS) torch==2.14.1 torchvision==0.29.1 $(BUILD)
	.venv-torch214/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[lite,pretrain,export,nifti,oracle-torch214,test]'
	touch $@

# (c) The OneDL fork. Its mmcv comes first and apart from torch, which it would compile against.
.venv-onedl/.stamp-install: $(METADATA) | .venv-onedl/bin/python
	.venv-onedl/bin/pip install $(PIP_FLAGS) "$(TORCH)" $(BUILD)
	.venv-onedl/bin/pip install $(PIP_FLAGS) onedl-mmcv==2.3.6
	.venv-onedl/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[onedl,test]'
# (d) mkdocs, which reads the package and does not import it: no torch here.
.venv-docs/.stamp-install: $(METADATA) | .venv-docs/bin/python
	.venv-docs/bin/pip install $(PIP_FLAGS) $(BUILD)
	.venv-docs/bin/python -c '$(PRINT_DOCS)' > .venv-docs/requirements.txt
	.venv-docs/bin/pip install $(PIP_FLAGS) -r .venv-docs/requirements.txt
	touch $@

# (f) What benchmarks compare with, none of which tests need: .venv-peers/bin/python tools/benchmark.py --peers
.venv-peers/.stamp-install: $(METADATA) | .venv-peers/bin/python
	.venv-peers/bin/pip install $(PIP_FLAGS) torch==2.14.1 torchvision==0.29.1 numpy cython $(BUILD)
	.venv-peers/bin/pip install $(PIP_FLAGS) --no-build-isolation -e '.[lite,pretrain,export,peers,crf]'
	touch $@

# (e) Labelling tools, each alone because they pin much: tests start them in processes of their own.
# Where pip cannot install one, the reason is kept and its tests are skipped with it.
.venv-labelstudio/.stamp-install: LABELLING = $(LABEL_STUDIO)
.venv-datumaro/.stamp-install: LABELLING = $(DATUMARO)
.venv-labelstudio/.stamp-install .venv-datumaro/.stamp-install: %/.stamp-install: | %/bin/python
	@echo 'installing $(LABELLING)'
	@if $*/bin/pip install $(PIP_FLAGS) "$(LABELLING)" 2>$*/why-not; \
	    then rm -f $*/why-not && touch $@; \
	    else cat $*/why-not >&2; echo 'its tests will be skipped' >&2; fi
