"""tools/train.py and tools/test.py as a user starts them, and mmseg's own with our config."""

import json
import sys
from pathlib import Path

import mmseg
import pytest
import torch
from support.paths import ROOT
from support.tools import load_tool

from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.options import use_seed
from mmseg_ext.apis.run.training import build_runner


def test_train_then_test(tiny_config, tmp_path, python_tool):
    done = python_tool('tools/train.py', tiny_config, '--work-dir', tmp_path, '--amp', '--seed', 0,
                       '--cfg-options', 'max_iters=2', env={'MMSEG_EXT_PROGRESS': '1'})  # fmt: skip
    checkpoint = torch.load(tmp_path / 'iter_2.pth')
    assert checkpoint['meta']['seed'] == 0 and checkpoint['meta']['iter'] == 2
    expected = 'AmpOptimWrapper' if torch.cuda.is_available() else 'Bf16OptimWrapper'
    assert expected in (tmp_path / 'tiny.py').read_text()
    assert '2/2' in done.stderr  # the bar
    python_tool('tools/test.py', tiny_config, '--work-dir', tmp_path, '--tta',
                '--out', tmp_path / 'masks', '--show-dir', tmp_path / 'drawn')  # fmt: skip
    assert json.loads((tmp_path / 'results.json').read_text())['seed'] == 0
    assert len(list((tmp_path / 'masks').glob('*.png'))) == 6
    assert len(list((tmp_path / 'drawn').rglob('*.png'))) == 6


def test_upstream_s_train_tool_runs_our_config(tiny_config, tmp_path, python_tool):
    tool = Path(mmseg.__file__).parent / '.mim' / 'tools' / 'train.py'
    python_tool(tool, tiny_config, '--work-dir', tmp_path, '--cfg-options', 'train_cfg.max_iters=2',
                'train_cfg.val_interval=2', cwd=tmp_path)  # fmt: skip
    assert (tmp_path / 'last_checkpoint').is_file()


def test_a_bad_key_ends_with_one_line_and_nothing_written(tiny_config, tmp_path, python_tool):
    done = python_tool('tools/train.py', tiny_config, '--work-dir', tmp_path / 'run',
                       '--cfg-options', 'model.decode_hed.channels=4', check=False)  # fmt: skip
    assert done.returncode == 1
    assert 'error: --cfg-options model.decode_hed.channels' in done.stderr
    assert 'did you mean decode_head?' in done.stderr and 'Traceback' not in done.stderr
    assert not (tmp_path / 'run').exists()


def run_main(name: str, monkeypatch, *arguments: object) -> None:
    monkeypatch.setattr(sys, 'argv', [name, *map(str, arguments)])
    load_tool(name).main()


def test_test_tool_refuses_another_model(tiny_config, tmp_path, monkeypatch):
    torch.save(torch.nn.Linear(1, 1).state_dict(), tmp_path / 'other.pth')
    with pytest.raises(ValueError, match='another model'):
        run_main('test', monkeypatch, tiny_config, tmp_path / 'other.pth',
                 '--work-dir', tmp_path / 'run', '--show-dir', tmp_path / 'drawn')  # fmt: skip
    assert [p.name for p in tmp_path.iterdir()] == ['other.pth']


def test_test_tool_needs_a_checkpoint(tiny_config, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match='train first'):
        run_main('test', monkeypatch, tiny_config, '--work-dir', tmp_path / 'run')
    assert not (tmp_path / 'run').exists()


def test_mmseg_s_arguments_are_understood(tiny_config, monkeypatch):
    monkeypatch.setattr(sys, 'argv', [
        'train', str(tiny_config), '--work-dir', 'w', '--resume', '--amp', '--launcher', 'pytorch',
        '--local-rank', '1', '--deterministic', '--seed', '0'])  # fmt: skip
    monkeypatch.delenv('LOCAL_RANK', raising=False)
    args = load_tool('train').parse_args()
    assert (args.resume, args.amp, args.launcher, args.local_rank) == (True, True, 'pytorch', 1)
    assert args.deterministic and args.seed == 0
    monkeypatch.setattr(sys, 'argv', [
        'test', str(tiny_config), 'c.pth', '--out', 'o', '--show', '--show-dir', 'd', '--wait-time',
        '1', '--tta', '--local_rank', '0'])  # fmt: skip
    args = load_tool('test').parse_args()
    assert (args.checkpoint, args.out, args.show_dir, args.wait_time) == ('c.pth', 'o', 'd', 1.0)


@pytest.fixture
def _algorithms():
    """Those of torch, left as they were found."""
    yield
    torch.use_deterministic_algorithms(False)
    torch.backends.cudnn.deterministic = False


@pytest.mark.parametrize('deterministic', [False, True])
def test_seed_and_deterministic_reach_the_runner_and_torch(
    tiny_config, tmp_path, deterministic, _algorithms
):
    cfg = load_config(tiny_config, work_dir=tmp_path)
    cfg.experiment_name = tmp_path.name
    use_seed(cfg, seed=3, deterministic=deterministic)
    runner = build_runner(cfg)
    assert (runner.seed, runner.deterministic) == (3, deterministic)
    assert torch.are_deterministic_algorithms_enabled() is deterministic
    assert torch.initial_seed() == 3


@pytest.mark.parametrize('tool', ['train', 'test'])
def test_tools_stay_short(tool):
    assert len((ROOT / 'tools' / f'{tool}.py').read_text().splitlines()) <= 150
