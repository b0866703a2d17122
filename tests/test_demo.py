"""The demo: which steps run, in which order, and what a second run does."""

import importlib.util
import os
import re
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Stands in for every tool: writes down how it was called and makes what the tool would make.
_FAKE = """
import os, sys
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
    (work / 'iter_5.pth').touch()
if name == 'test':
    (work / 'results.json').touch()
if name == 'predict':
    (work / 'predictions').mkdir(exist_ok=True)
    (work / 'predictions' / 'predictions.json').touch()
if name == 'report':
    (work / 'report.html').touch()
"""
_CONFIG = """
train_cfg = dict(max_iters=5)
test_dataloader = dict(dataset=dict(
    data_root={data!r}, ann_file='ImageSets/val.txt', data_prefix=dict(img_path='JPEGImages')))
"""


class Demo:
    """The demo in a folder of its own, with stand-ins for the tools."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.monkeypatch = folder, monkeypatch
        self.work, self.kill = folder / 'work', folder / 'kill'
        self.config, self.log = folder / 'config.py', folder / 'calls.txt'
        self.config.write_text(_CONFIG.format(data=str(folder / 'data')))
        fake = _FAKE.format(log=str(self.log), work=str(self.work), kill=str(self.kill))
        for name in ('make_shapes', 'train', 'test', 'predict', 'report'):
            (folder / f'{name}.py').write_text(fake)

    def run(self) -> list:
        """Run it and return the names of the tools that were called."""
        self.log.write_text('')
        module = _load_demo()
        self.monkeypatch.setattr(module, 'TOOLS', self.folder)
        arguments = ['demo.py', '--config', str(self.config), '--work-dir', str(self.work)]
        self.monkeypatch.setattr(sys, 'argv', arguments)
        module.main()
        return self.calls()

    def calls(self) -> list:
        return [line.split()[0] for line in self.log.read_text().splitlines()]


def _load_demo() -> ModuleType:
    spec = importlib.util.spec_from_file_location('demo_tool', ROOT / 'tools' / 'demo.py')
    module = importlib.util.module_from_spec(spec)
    sys.modules['demo_tool'] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Demo:
    monkeypatch.delenv('MMSEG_EXT_PROGRESS', raising=False)
    return Demo(tmp_path, monkeypatch)


def test_all_steps_run_in_order_and_the_report_is_named(demo, capfd) -> None:
    assert demo.run() == ['make_shapes', 'train', 'test', 'predict', 'report']
    lines = demo.log.read_text().splitlines()
    work, config = demo.work, demo.config
    assert lines[1] == f'train {config} --work-dir {work} --resume'
    assert lines[2] == f'test {config} {work}/iter_5.pth --work-dir {work}'
    # six of sixty, ten apart, known only after the first step
    images = ' '.join(f'{demo.folder}/data/JPEGImages/i{k}.jpg' for k in (0, 10, 20, 30, 40, 50))
    assert lines[3] == f'predict {config} {work}/iter_5.pth {images} --out {work}/predictions'
    printed = capfd.readouterr().out
    assert printed.rstrip().endswith(f'report: {work}/report.html')
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
    with pytest.raises(SystemExit) as exit_:
        demo.run()
    assert exit_.value.code == 1 and demo.calls() == ['make_shapes', 'train']
    message = capfd.readouterr().err
    assert f'the step "train" failed, see also {demo.work}/logs/train.log' in message
    demo.kill.unlink()
    assert demo.run() == ['make_shapes', 'train', 'test', 'predict', 'report']
    assert '--resume' in demo.log.read_text().splitlines()[1]


def test_a_changed_config_starts_over_and_keeps_the_old_results(demo, capfd) -> None:
    demo.run()
    demo.config.write_text(demo.config.read_text() + 'lr = 0.1\n')
    assert len(demo.run()) == 5
    (aside,) = demo.folder.glob('work_*')
    assert (aside / 'iter_5.pth').is_file() and str(aside) in capfd.readouterr().out


def test_a_foreign_folder_is_left_alone(demo) -> None:
    demo.work.mkdir()
    (demo.work / 'thesis.txt').touch()
    with pytest.raises(SystemExit, match='work is not empty and not from this demo'):
        demo.run()
    assert [path.name for path in demo.work.iterdir()] == ['thesis.txt']
    assert demo.calls() == []


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
    done = python_tool('tools/demo.py', '--config', config, '--work-dir', work, timeout=600)
    assert f'report: {work}/report.html' in done.stdout
    tree = ElementTree.fromstring((work / 'report.html').read_text(encoding='utf-8'))
    cards = [''.join(card.itertext()) for card in tree.iterfind(".//ul[@class='cards']/li")]
    assert [re.split(r'\d', card)[0] for card in cards] == [
        'this model',
        'one class everywhere',
        'classifier of single colours',
    ]
    assert len(tree.findall(".//div[@class='examples']/figure")) == 6
    again = python_tool('tools/demo.py', '--config', config, '--work-dir', work, timeout=600)
    assert again.stdout.count('done already') == 3
