"""The commands of README, docs and cards end well, run in their order on little data.

A page says of a command that is not run why: ``<!-- not run: why -->`` before a block, or
``<!-- not run (part of the command): why -->``. That each is a command that its program takes is
tested without running it, in ``test_documented_commands.py``.
"""

import importlib.util
import re
import shlex
from contextlib import nullcontext

import pytest
from support.documents import PAGES, marked_commands, marks
from support.paths import ROOT
from support.reader import FOLDS, Reader, short

RUN = [command for command in marked_commands() if not command.reason]
NOT_RUN = [command for command in marked_commands() if command.reason]
NEEDS_ONNX = re.compile(r'tools/export\.py(?!.*--format torch_export)|\.onnx\b')
SCANS = {'MASKS': 'MASKS_OF_SCANS', 'data/bmseg': 'data/another_bmseg'}
# what a word of a page stands for there
PLACES = {
    'docs/cross_validation.md': dict(CONFIG=FOLDS),
    'docs/data.md': SCANS,
    'configs/mfp/README.md': SCANS,
}


def test_commands_are_run_or_marked():
    assert len(RUN) >= 60 and len(NOT_RUN) >= 20
    assert {command.page for command in RUN} >= {'README.md', 'docs/using.md', 'docs/data.md'}
    kinds = {shlex.split(command.text)[0] for command in RUN}
    assert kinds <= {'python', 'bash', 'find'}, 'others need a mark that says why they are not run'


def test_marks_say_why_of_something():
    """A mark whose command is gone is gone, too; tests that a reason names are there."""
    for page in PAGES:
        name = page.relative_to(ROOT).as_posix()
        texts = [' '.join(c.text.split()) for c in marked_commands() if c.page == name]
        assert [part for part in marks(page.read_text()) if not any(part in t for t in texts)] == []
    named = {path for command in NOT_RUN for path in re.findall(r'tests/[\w/.]+\w', command.reason)}
    assert named and sorted(path for path in named if not (ROOT / path).exists()) == []
    assert min(len(command.reason.split()) for command in NOT_RUN) >= 3


def test_a_command_stays_what_it_is_but_for_its_length():
    assert short(shlex.split('python tools/test.py C --details')) == [
        'python', 'tools/test.py', 'C', '--details']  # fmt: skip
    long = 'python tools/table.py fmsi 3 --cfg-options max_iters=200 --gpus 4'
    assert short(shlex.split(long)) == [
        'python', 'tools/table.py', 'fmsi', '3', '--cfg-options', 'max_iters=2',
        'train_dataloader.batch_size=2', '--gpus', '4']  # fmt: skip
    assert short(shlex.split('python tools/kfold.py C --num-folds 5 --report')) == [
        'python', 'tools/kfold.py', 'C', '--num-folds', '2', '--report']  # fmt: skip
    assert 'max_iters=4' in short(shlex.split('python tools/train.py C --accumulate 4'))
    assert short(['bash', 'tools/dist_train.sh', 'C', '4'])[-3:] == [
        '--cfg-options', 'max_iters=2', 'train_dataloader.batch_size=2']  # fmt: skip


@pytest.fixture(scope='module')
def reader(tmp_path_factory):
    person = Reader(tmp_path_factory.mktemp('reader'))
    try:
        person.prepare()
        yield person
    finally:
        person.close()


def _run_page(reader, page):
    """The commands of a page that failed, with their last lines."""
    failed = []
    for command in (command for command in RUN if command.page == page):
        first = 'dataset.py init' in command.text and '--out' not in command.text
        with reader.without_data_file() if first else nullcontext():
            status, output = reader.run(command.text, PLACES.get(page))
            if status or (first and not (reader.folder / 'my_data.yml').is_file()):
                failed.append((command.text, status, output[-1500:]))
    return failed


@pytest.mark.slow
@pytest.mark.parametrize('page', sorted({command.page for command in RUN}))
def test_the_commands_of_a_page_run(reader, page):
    texts = [command.text for command in RUN if command.page == page]
    if any(map(NEEDS_ONNX.search, texts)) and not importlib.util.find_spec('onnxruntime'):
        pytest.skip('onnx and onnxruntime are not installed')
    reader.restore()
    failed = _run_page(reader, page)
    assert not failed, '\n\n'.join(
        f'{text}\nended with {status}\n{out}' for text, status, out in failed
    )
