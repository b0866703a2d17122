"""The demo: which steps run, in which order, and what a second run does."""

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.demo import StepError, own_commands, run_demo
from mmseg_ext.apis.draw.curves import read_curves
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.core.files import short_path
from mmseg_ext.core.locks import locked

# Stands in for every tool: writes down how it was called and makes what the tool would make.
_FAKE = """
import json, os, shutil, sys
from pathlib import Path
name, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
with open({log!r}, 'a') as log:
    log.write(' '.join([name, *arguments]) + '\\n')
assert os.environ['MMSEG_EXT_PROGRESS'] == '1'
work = Path({work!r})
if name == 'make_shapes':
    lists = Path(arguments[1]) / 'ImageSets'
    lists.mkdir(parents=True, exist_ok=True)
    (lists / 'val.txt').write_text('\\n'.join(f'i{{k}}' for k in range(60)))
if name == 'train':
    assert not Path({kill!r}).exists(), 'killed'
    shutil.copy({whole!r}, work / 'iter_5.pth')
if name == 'test':
    (work / 'results.json').write_text(json.dumps(dict(checkpoint='iter_5.pth')))
if name == 'predict':
    (work / 'predictions').mkdir(exist_ok=True)
    names = arguments[2:-2]
    listing = work / 'predictions' / 'predictions.json'
    listing.write_text(json.dumps(dict(images=names)))
if name == 'report':
    (work / 'report.html').touch()
"""
_CONFIG = """
train_cfg = dict(max_iters=5)
test_dataloader = dict(dataset=dict(
    type='ShapesDataset', data_root={data!r}, ann_file='ImageSets/val.txt',
    data_prefix=dict(img_path='JPEGImages')))
"""


class Demo:
    """The demo in a folder of its own, with stand-ins for the tools."""

    def __init__(self, folder: Path, whole_checkpoint) -> None:
        self.folder = folder
        self.work, self.kill = folder / 'work', folder / 'kill'
        self.config, self.log = folder / 'config.py', folder / 'calls.txt'
        self.config.write_text(_CONFIG.format(data=str(folder / 'data')))
        whole = whole_checkpoint(folder / 'whole' / 'iter_5.pth')
        fake = _FAKE.format(
            log=str(self.log), work=str(self.work), kill=str(self.kill), whole=str(whole)
        )
        for name in ('make_shapes', 'train', 'test', 'predict', 'report'):
            (folder / f'{name}.py').write_text(fake)

    def run(self) -> list:
        """Run it and return the names of the tools that were called."""
        self.log.write_text('')
        run_demo(str(self.config), self.work, tools=self.folder)
        return self.calls()

    def calls(self) -> list:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, whole_checkpoint) -> Demo:
    monkeypatch.delenv('MMSEG_EXT_PROGRESS', raising=False)
    return Demo(tmp_path, whole_checkpoint)


def test_all_steps_run_in_order_and_the_report_is_named(demo, capfd) -> None:
    assert demo.run() == ['make_shapes', 'train', 'test', 'predict', 'report']
    lines = demo.log.read_text().splitlines()
    work, config = demo.work, demo.config
    assert lines[0] == f'make_shapes --out {demo.folder}/data --variant shapes21'
    assert lines[1] == f'train {config} --work-dir {work} --resume'
    assert lines[2] == f'test {config} {work}/iter_5.pth --work-dir {work}'
    # six of sixty, ten apart, known only after the first step
    images = ' '.join(f'{demo.folder}/data/JPEGImages/i{k}.jpg' for k in (0, 10, 20, 30, 40, 50))
    assert lines[3] == f'predict {config} {work}/iter_5.pth {images} --out {work}/predictions'
    printed = capfd.readouterr().out
    assert (work / 'report.html').is_file()
    for number, line in enumerate(lines, start=1):  # each command as it was run
        name, *arguments = line.split()
        command = ' '.join([f'{demo.folder}/{name}.py', *arguments])
        assert re.search(rf'^\[{number}/5\] .*python.* {re.escape(command)}$', printed, re.M)


def test_a_second_run_reuses_what_is_there(demo) -> None:
    demo.run()
    assert demo.run() == ['make_shapes', 'report']  # make_shapes checks its files by itself


def test_newer_weights_are_tested_and_shown_again(demo) -> None:
    demo.run()
    later = demo.work.joinpath('results.json').stat().st_mtime + 5
    os.utime(demo.work / 'iter_5.pth', (later, later))
    assert demo.run() == ['make_shapes', 'test', 'predict', 'report']


def test_a_killed_training_goes_on(demo, capfd) -> None:
    demo.kill.touch()
    with pytest.raises(
        StepError, match=f'step "train" failed, see also {demo.work}/logs/train.log'
    ):
        demo.run()
    assert demo.calls() == ['make_shapes', 'train']
    assert 'AssertionError: killed' in capfd.readouterr().err  # the error itself is on the screen
    demo.kill.unlink()
    assert demo.run() == ['make_shapes', 'train', 'test', 'predict', 'report']
    assert '--resume' in demo.log.read_text().splitlines()[1]


@pytest.mark.parametrize('name, redone', [
    ('iter_5.pth', ['train', 'test', 'predict']), ('results.json', ['test']),
    ('predictions/predictions.json', ['predict']), ('demo.json', []),
])  # fmt: skip
def test_what_was_cut_short_is_made_again(demo, name, redone) -> None:
    demo.run()
    path = demo.work / name
    path.write_bytes(path.read_bytes()[: 7 if name == 'iter_5.pth' else 0])
    later = path.stat().st_mtime + 5  # it is newer than what was made from it
    os.utime(path, (later, later))
    assert demo.run() == ['make_shapes', *redone, 'report']
    assert demo.run() == ['make_shapes', 'report']


def test_a_stopped_prediction_goes_on(demo) -> None:
    """It lists what was done until then."""
    demo.run()
    path = demo.work / 'predictions/predictions.json'
    names = json.loads(path.read_text())['images']
    assert len(names) == 6
    path.write_text(json.dumps(dict(images=names[:5])))
    assert demo.run() == ['make_shapes', 'predict', 'report']


def test_a_demo_that_was_killed_at_its_first_file_begins_again(demo) -> None:
    demo.work.mkdir()
    (demo.work / '.lock').touch()
    (demo.work / '.demo.json.2147483647.part').write_text('{"conf')
    assert len(demo.run()) == 5
    assert not list(demo.work.glob('.*.part'))


def test_a_second_demo_leaves_the_first_alone(demo, monkeypatch) -> None:
    with locked(demo.work), monkeypatch.context() as other:
        other.delenv('MMSEG_EXT_LOCKED')  # what tells our children from others
        with pytest.raises(ValueError, match='in use by another process'):
            demo.run()
        assert demo.calls() == [] and not (demo.work / 'demo.json').exists()


def test_a_changed_config_starts_over_and_keeps_the_old_results(demo, capfd) -> None:
    demo.run()
    demo.config.write_text(demo.config.read_text() + 'lr = 0.1\n')
    assert len(demo.run()) == 5
    (aside,) = demo.folder.glob('work_*')
    assert (aside / 'iter_5.pth').is_file() and str(aside) in capfd.readouterr().out


def test_the_variant_is_that_of_the_config(demo) -> None:
    demo.config.write_text(demo.config.read_text().replace('ShapesDataset', 'Shapes7Dataset'))
    demo.run()
    line = demo.log.read_text().splitlines()[0]
    assert line == f'make_shapes --out {demo.folder}/data --variant shapes7'


@pytest.mark.parametrize('kind', ['CamVidDataset', 'NoSuchDataset'])
def test_a_config_of_other_data_is_refused_before_anything_is_written(demo, kind) -> None:
    demo.config.write_text(demo.config.read_text().replace('ShapesDataset', kind))
    with pytest.raises(ValueError, match=f'tests on {kind}: give a --config'):
        demo.run()
    assert demo.calls() == [] and not demo.work.exists()


def test_commands_for_own_images_are_ones_that_the_tools_take(demo, monkeypatch) -> None:
    said = own_commands('my configs/tiny.py', tools=Path('tools'))
    assert {shlex.split(line)[0] for line in said} == {str(short_path(sys.executable))}
    init, train, predict = (shlex.split(line)[1:] for line in said)
    for line in (init, train, predict):
        assert (ROOT / line[0]).is_file()
    parsed = {}
    for line in (init, train, predict):
        monkeypatch.setattr('sys.argv', line)
        name = Path(line[0]).stem
        parsed[name] = load_tool(name).parse_args()
    assert parsed['dataset'].out == parsed['train'].dataset  # what one writes, the next one reads
    assert parsed['train'].config == 'my configs/tiny.py'
    assert parsed['predict'].words == [parsed['train'].work_dir, 'PHOTOS']


@pytest.mark.parametrize('metrics, score', [
    ({'mIoU': dict(value=0.6249)}, ['mIoU: 62.5 %']), ({'mDice': dict(value=0.5)}, []),
])  # fmt: skip
def test_the_terminal_ends_with_score_page_and_commands(
    tmp_path, monkeypatch, capsys, metrics, score
) -> None:
    (tmp_path / 'results.json').write_text(json.dumps(dict(metrics=metrics)))
    tool = load_tool('demo')
    monkeypatch.setattr('mmseg_ext.apis.demo.run_demo', lambda *args, **kwargs: RunFolder(tmp_path))
    monkeypatch.setattr('sys.argv', ['tools/demo.py', '--config', 'mine.py'])
    tool.main()
    said = capsys.readouterr().out.splitlines()
    assert said[1:-5] == [*score, f'report: {tmp_path}/report.html']
    assert said[-3:] == own_commands('mine.py', tools=tool.TOOLS)


def test_a_foreign_folder_is_left_alone(demo) -> None:
    demo.work.mkdir()
    (demo.work / 'thesis.txt').touch()
    with pytest.raises(ValueError, match='work is not empty and not from this demo'):
        demo.run()
    assert [path.name for path in demo.work.iterdir()] == ['thesis.txt']
    assert demo.calls() == []


def _kill_when(path: Path, command: list) -> None:
    """Start a command and kill it and its children as soon as a file is there."""
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True)
    try:
        for _ in range(9000):
            if path.is_file() and path.read_text():
                break
            assert process.poll() is None, f'{command} ended before {path} was there'
            time.sleep(0.1)
    finally:  # also when the test itself is interrupted: nothing is left running
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.mark.slow
def test_the_real_tools_work_together(tmp_path, tiny_config, python_tool) -> None:
    """Data, training, test, prediction and report, with the tiny network of the other tests."""
    bases = ROOT / 'configs' / '_base_'
    text = tiny_config.read_text()
    model = text[text.index('norm_cfg = ') : text.index('metainfo = ')]
    config = tmp_path / 'tiny_shapes.py'
    folder = f'dict(dataset=dict(data_root={str(tmp_path / "shapes")!r}), num_workers=0, '
    folder += 'persistent_workers=False)'
    config.write_text(
        f'_base_ = [{str(bases / "default_runtime.py")!r}, '
        f'{str(bases / "datasets/shapes.py")!r}, {str(bases / "schedules/sgd_poly.py")!r}]\n'
        f'train_dataloader = val_dataloader = test_dataloader = {folder}\n'
        f'crop_size = (128, 128)\n{model.replace("num_classes=3", "num_classes=21")}\n'
        'train_cfg = dict(max_iters=6, val_interval=3)\n'
        'param_scheduler = [dict(type="PolyLR", begin=0, end=6, by_epoch=False)]\n'
        'default_hooks = dict(logger=dict(interval=2), checkpoint=dict(interval=3))\n'
    )
    work = tmp_path / 'work'
    command = ['tools/demo.py', '--config', config, '--work-dir', work]
    _kill_when(work / 'last_checkpoint', [sys.executable, *map(str, command)])
    assert (work / 'last_checkpoint').read_text().endswith('/iter_3.pth')
    done = python_tool(*command, timeout=1800)
    assert 'resumed epoch: 0, iter: 3' in (work / 'logs' / 'train.log').read_text()
    assert sorted(read_curves(RunFolder(work).curve_files())['loss']) == [2, 4, 6]
    said = done.stdout.splitlines()
    miou = json.loads((work / 'results.json').read_text())['metrics']['mIoU']['value']
    assert said[-7:-5] == [f'mIoU: {100 * miou:.1f} %', f'report: {work}/report.html']
    assert said[-3:] == own_commands(str(config), tools=Path('tools'))
    tree = ElementTree.fromstring((work / 'report.html').read_text(encoding='utf-8'))
    cards = [''.join(card.itertext()) for card in tree.iterfind(".//ul[@class='cards']/li")]
    assert [re.split(r'\d', card)[0] for card in cards] == [
        'this model',
        'one class everywhere',
        'classifier of single colors',
    ]
    examples = [div for div in tree.iter('div') if div.get('class', '').startswith('examples')]
    assert [len(div.findall('figure')) for div in examples] == [6]
    again = python_tool(*command, timeout=1800)
    assert again.stdout.count('done already') == 3
