"""A run's folder: the names of its files, how far it has come, and that looking leaves no trace."""

import ast
import json
import os
import time
from pathlib import Path

import pytest
import torch
from mmengine.config import Config
from support.paths import ROOT

from mmseg_ext.apis.pages.examples import predicted_masks
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.network.cost import read_cost
from mmseg_ext.apis.run.testing import test as run_test
from mmseg_ext.apis.run.training import build_runner, train
from mmseg_ext.core.saved import VALIDATED

RESULTS = dict(
    metrics=dict(mIoU=dict(value=0.5)), per_class=dict(IoU=dict(a=0.5)), confusion=[[4]],
    config='net', checkpoint='iter_4.pth',
)  # fmt: skip
LOOP = dict(type='IterBasedTrainLoop', max_iters=4, val_interval=2)


def _cfg(**changes):
    return Config(dict(train_cfg=dict(LOOP, **changes), val_cfg=dict(type='ValLoop')))


def named(filename: str) -> Config:
    cfg = Config(dict())
    object.__setattr__(cfg, '_filename', filename)
    return cfg


def save(path: Path, step: int, **notes) -> None:
    """A checkpoint that a training could go on from."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hub = dict(log_scalars={}, runtime_info=notes, resumed_keys={})
    content = dict(
        state_dict=dict(weight=torch.zeros(1)), meta=dict(iter=step, epoch=0),
        optimizer=dict(state={}, param_groups=[]), message_hub=hub,
    )  # fmt: skip
    torch.save(content, path)


@pytest.fixture
def run(tmp_path):
    """A folder as a training, a test and a cross validation leave it."""
    folder = RunFolder(tmp_path / 'run')
    save(folder.path / 'iter_2.pth', 2, **{VALIDATED: 2})
    best = str(tmp_path / 'moved_away/best_mIoU_iter_2.pth')
    save(folder.path / 'iter_4.pth', 4, **{VALIDATED: 4, 'best_ckpt': best})
    save(folder.path / 'best_mIoU_iter_2.pth', 2)
    (folder.path / 'net.py').write_text('a = 1\n')
    log = folder.path / '20260901_000000/vis_data'
    log.mkdir(parents=True)
    (log / 'scalars.json').write_text('{"iter": 2, "loss": 1.0}\n')
    (log / 'config.py').write_text('a = 2\n')
    folder.results_file().write_text(json.dumps(RESULTS))
    for number in (10, 2):
        folder.fold(number).path.mkdir()
        folder.fold(number).results_file().write_text(json.dumps(RESULTS))
    folder.fold(3).path.mkdir()
    return folder


def test_every_name_is_that_of_older_runs(tmp_path):
    folder = RunFolder(tmp_path)
    found = [
        folder.results_file(), folder.results_file('coarse'), folder.counts_file(),
        folder.counts_file('coarse'), folder.surface_file, folder.calibration_file,
        folder.cost_file, folder.listing_file, folder.page_file, folder.average, folder.folds_file,
        folder.plan_file, folder.split_file, folder.row_file, folder.job_file,
        folder.log_file('train'), folder.fold(3).results_file(),
    ]  # fmt: skip
    assert [str(path.relative_to(tmp_path)) for path in found] == [
        'results.json', 'results_coarse.json', 'per_image.npz', 'per_image_coarse.npz',
        'per_image_surface.npz', 'per_image_calibration.npz', 'cost.json',
        'predictions/predictions.json', 'report.html', 'average', 'kfold.json', 'kfold_plan.json',
        'split.json', 'table_row.json', 'slurm_job.txt', 'train.log', 'fold3/results.json',
    ]  # fmt: skip


def test_best_last_and_resumable_are_three_questions(run):
    assert run.best_checkpoint().name == 'best_mIoU_iter_2.pth'
    assert run.last_checkpoint().name == 'iter_4.pth'
    assert [run.checkpoint(kind).name[:4] for kind in ('best', 'last')] == ['best', 'iter']
    assert run.best_or_last() == run.best_checkpoint()
    assert (run.resumable().path, run.resumable().iteration) == (run.path / 'iter_4.pth', 4)
    run.best_checkpoint().unlink()
    assert run.best_or_last() == run.last_checkpoint()
    with pytest.raises(FileNotFoundError, match='no best checkpoint'):
        run.best_checkpoint()


def test_trained_is_the_last_step_and_its_validation(run):
    assert run.is_trained(_cfg()) and not run.is_half_trained(_cfg())
    longer = _cfg(max_iters=6)
    assert not run.is_trained(longer) and run.is_half_trained(longer)
    save(run.path / 'iter_4.pth', 4, **{VALIDATED: 2})  # killed in the last validation
    assert not run.is_trained(_cfg())
    assert run.is_trained(_cfg(val_begin=5))  # none is due
    (run.path / 'iter_4.pth').write_bytes(b'cut short')
    assert not run.is_trained(_cfg()) and run.is_half_trained(_cfg())
    assert not RunFolder(run.path / 'nowhere').is_half_trained(_cfg())


def test_tested_is_what_the_results_say(run):
    assert run.tested_with() == 'iter_4.pth'
    for content in ('{"metrics"', '[]', json.dumps(dict(RESULTS, checkpoint=7))):
        run.results_file().write_text(content)
        assert run.tested_with() is None
    assert RunFolder(run.path / 'nowhere').tested_with() is None
    assert [fold.path.name for fold in run.tested_folds()] == ['fold2', 'fold10']


def test_the_training_and_the_test_keep_a_config_each(run):
    assert run.training_config('net').a == 2
    assert run.tested_config('net').a == 1
    assert run.dumped_name(named('configs/net.py')) == 'tested_net.py'
    assert run.dumped_name(named('configs/other.py')) is None
    (run.path / 'tested_net.py').write_text('a = 3\n')
    assert (run.training_config('net').a, run.tested_config('net').a) == (2, 3)
    (run.path / '20260901_000000/vis_data/config.py').unlink()
    assert run.training_config('net').a == run.training_config('gone').a == 1
    only_tested = run.fold(2)
    (only_tested.path / 'net.py').write_text('a = 4\n')
    assert only_tested.dumped_name(named('net.py')) is None
    assert only_tested.training_config(None).a == 4
    assert run.fold(3).tested_config('net') is None


def test_checkpoints_are_looked_for_where_the_config_puts_them(tmp_path):
    hooks = dict(checkpoint=dict(out_dir=str(tmp_path / 'large')))
    cfg = Config(dict(_cfg().to_dict(), work_dir=str(tmp_path / 'run'), default_hooks=hooks))
    folder = RunFolder.of(cfg)
    assert folder.weights == tmp_path / 'large/run'
    assert folder.fold(1).weights == tmp_path / 'large/fold1'
    assert RunFolder.of(cfg, tmp_path / 'other').weights == tmp_path / 'large/other'
    save(folder.weights / 'iter_4.pth', 4, **{VALIDATED: 4})
    assert folder.last_checkpoint() == folder.best_or_last() == folder.weights / 'iter_4.pth'
    assert folder.is_trained(cfg) and folder.holds_training()


def state(folder: Path) -> dict:
    return {
        path: (path.lstat().st_mtime_ns, path.is_file() and path.read_bytes())
        for path in [folder, *folder.rglob('*')]
    }


def test_looking_writes_nothing(run):
    (run.path / 'iter_3.pth').write_bytes(b'cut short')
    (run.path / '.iter_5.pth.1.part').write_bytes(b'left by a kill')
    cfg = _cfg()
    cfg.work_dir = str(run.path)
    looks = [
        run.best_checkpoint, run.last_checkpoint, run.best_or_last, run.resumable,
        lambda: run.is_trained(cfg), lambda: run.is_half_trained(cfg), run.holds_training,
        run.tested_with, run.results, run.scores, run.tested_folds, run.curve_files,
        lambda: run.training_config('net'), lambda: run.tested_config('net'),
        lambda: run.dumped_name(named('net.py')), lambda: RunFolder.of(cfg),
        lambda: read_cost(run.path), lambda: predicted_masks(run.predictions),
    ]  # fmt: skip
    before = state(run.path)
    assert len(before) > 12
    folders = [path for path in before if path.is_dir()]
    for folder in folders:
        os.chmod(folder, 0o555)
    try:
        for look in looks:
            look()
            assert state(run.path) == before
    finally:
        for folder in folders:
            os.chmod(folder, 0o755)


def test_a_test_leaves_the_config_of_the_training(tiny_config, tmp_path):
    work = tmp_path / 'run'
    cfg = load_config(tiny_config, work_dir=work, options=dict(max_iters=1))
    train(cfg)
    folder, dumped = RunFolder(work), work / tiny_config.name
    before, log = dumped.read_bytes(), folder.curve_files()
    assert folder.is_trained(cfg) and folder.training_config(tiny_config.stem).train_cfg
    changed = load_config(tiny_config, work_dir=work, options={'test_dataloader.batch_size': 2})
    run_test(changed)
    assert dumped.read_bytes() == before and folder.curve_files() == log
    name = tiny_config.stem
    assert folder.training_config(name).test_dataloader.batch_size == 1
    assert folder.tested_config(name).test_dataloader.batch_size == 2
    assert folder.results().config == name and folder.tested_with() == 'best_mIoU_iter_1.pth'
    assert folder.is_trained(cfg)
    run_test(load_config(tiny_config, work_dir=tmp_path / 'alone'), folder.last_checkpoint())
    assert sorted(path.name for path in (tmp_path / 'alone').glob('*.py')) == [tiny_config.name]


def test_two_runs_of_one_second_have_logs_of_their_own(tiny_config, tmp_path):
    cfg = load_config(tiny_config, work_dir=tmp_path / 'run')
    time.sleep(1 - time.time() % 1)  # both within the same second, unless one waits
    folders = [build_runner(cfg).log_dir for _ in range(2)]
    assert folders[0] != folders[1]
    assert sorted(
        str(path.parent.parent)
        for path in RunFolder(tmp_path / 'run').path.glob('*/vis_data/config.py')
    ) == sorted(folders)


def test_a_run_by_the_config_in_another_runs_folder_leaves_that_ones_config_alone(
    tiny_config, tmp_path
):
    """Such a config has the name that its run was given, as the second of its file's name."""
    time.sleep(1 - time.time() % 1)
    names = [load_config(tiny_config, work_dir=tmp_path / name) for name in 'ab']
    runs = [build_runner(cfg) for cfg in names]
    again = build_runner(load_config(tmp_path / 'b' / tiny_config.name, work_dir=tmp_path / 'c'))
    found = [run.experiment_name for run in (*runs, again)]
    assert len(set(found)) == 3
    texts = [(tmp_path / 'b').glob('*/vis_data/config.py'), (tmp_path / 'c').glob('*/*/config.py')]
    for place, files in zip('bc', texts):
        (file,) = files
        assert repr(str(tmp_path / place)) in file.read_text()


OWNERS = {'mmseg_ext/apis/run/folder.py', 'mmseg_ext/core/saved.py'}
NAMES = (
    'results.json', 'per_image.npz', 'per_image_surface.npz', 'per_image_calibration.npz',
    'last_checkpoint', 'cost.json', 'kfold.json', 'kfold_plan.json', 'split.json',
    'table_row.json', 'slurm_job.txt', 'best_*.pth',
)  # fmt: skip


def _literals(path: Path) -> list[str]:
    """Strings of a file that are no documentation: names and paths."""
    tree = ast.parse(path.read_text(encoding='utf-8'))
    found = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
    return [text for text in found if isinstance(text, str) and ' ' not in text.strip()]


def test_nobody_else_names_the_files_of_a_run():
    paths = [p for top in ('mmseg_ext', 'tools') for p in sorted((ROOT / top).rglob('*.py'))]
    named = {
        (str(path.relative_to(ROOT)), text)
        for path in paths
        if '.mim' not in path.parts
        for text in _literals(path)
        if any(Path(text).name == name for name in NAMES)
    }
    assert {path for path, _ in named} >= OWNERS  # the names are found where they belong
    assert sorted(entry for entry in named if entry[0] not in OWNERS) == []
