"""The tool with real trainings: rounds, the same again after a kill, and a choice for people."""

import json
import signal
import subprocess
import sys
import time
from xml.etree import ElementTree

import pytest
import torch
from support.paths import ROOT
from support.tiny import write_tiny_config
from support.tools import load_tool
from support.user_folder import write_folder

TOOL = ROOT / 'tools/active_learning.py'


def command(folder, config, *words):
    data = folder / 'data/mine.yml'
    return [sys.executable, str(TOOL), str(config), '--dataset', str(data), *map(str, words)]


def lists(folder):
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.glob('*/*/*.txt')}


class _SeenError(Exception):
    """Carries the plan of a simulation, which then does not start."""


def test_a_row_says_what_the_command_line_does_not(tmp_path, monkeypatch):
    def stop(plan, *_):
        raise _SeenError(plan)

    row = ROOT / 'configs/survey/active_deeplabv3plus_mobilenetv2_camvid180.py'
    write_folder(tmp_path / 'data', size=(40, 40), counts=(10, 2))
    tool = load_tool('active_learning')
    monkeypatch.setattr(tool.labels, 'Rounds', stop)
    monkeypatch.setattr(sys, 'argv', command(tmp_path, row, '--rounds', 3, '--seeds', 7)[1:])
    with pytest.raises(_SeenError) as seen:
        tool.main()
    (plan,) = seen.value.args
    assert plan.strategies == ('random', 'random_foreground', 'entropy', 'k_centre', 'clasp_pe')
    assert (plan.rounds, plan.seeds, plan.budget) == (3, (7,), '5%')


@pytest.mark.slow
def test_rounds_that_are_killed_end_with_the_same_lists_and_weights(tmp_path):
    write_folder(tmp_path / 'data', size=(40, 40), counts=(10, 2))
    config = write_tiny_config(tmp_path / 'tiny.py', tmp_path / 'unused')
    words = ['--strategy', 'entropy', '--rounds', 2, '--budget', 3, '--deterministic']
    options = ['--cfg-options', 'max_iters=4', 'default_hooks.checkpoint.interval=1']
    whole = command(tmp_path, config, *words, '--work-dir', tmp_path / 'a', *options)
    done = subprocess.run(whole, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / 'a/active_learning.json').read_text())
    points = summary['curves']['entropy']['0']
    assert [point['labelled'] for point in points] == [3, 6]
    assert all(0 <= point['mIoU'] <= 1 for point in points)
    page = ElementTree.fromstring((tmp_path / 'a/active_learning.html').read_text())
    assert '2 of 2 rounds are finished' in ''.join(page.itertext())

    again = command(tmp_path, config, *words, '--work-dir', tmp_path / 'b', *options)
    for place in ('start_seed0/round0', 'entropy_seed0/round1'):
        child = subprocess.Popen(again, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not list((tmp_path / 'b' / place / 'run').glob('iter_*.pth')):
            assert child.poll() is None
            time.sleep(0.05)
        child.send_signal(signal.SIGKILL)
        child.wait()
        time.sleep(1)  # a training ends with its parent
    done = subprocess.run(again, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert lists(tmp_path / 'a') == lists(tmp_path / 'b')
    assert len(lists(tmp_path / 'a')) == 8
    for place in ('start_seed0/round0', 'entropy_seed0/round1'):
        one, other = (
            torch.load(tmp_path / name / place / 'run/iter_4.pth', weights_only=False)['state_dict']
            for name in 'ab'
        )
        assert all(torch.equal(one[key], other[key]) for key in one)

    for index in (0, 1, 2):  # and for people: three images without a mask
        (tmp_path / f'data/masks/train/{index}.png').unlink()
    file = tmp_path / 'data/mine.yml'
    (tmp_path / 'data/train.txt').write_text('3\n4\n5\n6\n7\n8\n9\n')
    text = file.read_text().replace('masks: masks/train}', 'masks: masks/train, list: train.txt}')
    file.write_text(text)
    checkpoint = tmp_path / 'a/entropy_seed0/round1/run/iter_4.pth'
    choice = command(tmp_path, config, '--strategy', 'k_centre', '--checkpoint', checkpoint,
                     '--choose', 2, '--out', tmp_path / 'chosen.txt')  # fmt: skip
    done = subprocess.run(choice, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    chosen = (tmp_path / 'chosen.txt').read_text().split()
    assert len(chosen) == 2 and set(chosen) < {'0', '1', '2'}
    label = [sys.executable, str(ROOT / 'tools/label.py'), 'export', str(file), '--out',
             str(tmp_path / 'out'), '--list', str(tmp_path / 'chosen.txt'), '--config',
             str(config), '--checkpoint', str(checkpoint)]  # fmt: skip
    done = subprocess.run(label, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    tasks = json.loads((tmp_path / 'out/tasks.json').read_text())
    assert [task['data']['name'] for task in tasks] == [f'{stem}.png' for stem in chosen]
    assert all(task['predictions'][0]['score'] > 0 for task in tasks)
