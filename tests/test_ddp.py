"""Two-process training on CPUs: the same gradients as one process on the joined batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from mmseg_ext.apis import training
from mmseg_ext.engine.distributed import start_cpu_group

ROOT = Path(__file__).resolve().parents[1]

# No augmentation, no dropout and no batch statistics, so that a batch of two is two of one; plain
# SGD with rate 1, so that the change of a weight is its gradient. All images have as many valid
# pixels, so that the mean over processes is the mean over pixels.
EXACT = """
norm_cfg = dict(type='GN', num_groups=2)
model = dict(
    data_preprocessor=dict(size=(40, 40)), backbone=dict(norm_cfg=dict(num_groups=2)),
    decode_head=dict(dropout_ratio=0, norm_cfg=dict(num_groups=2)))
model['backbone']['norm_cfg'] = dict(type='GN', num_groups=2, _delete_=True)
model['decode_head']['norm_cfg'] = dict(type='GN', num_groups=2, _delete_=True)
train_dataloader = dict(batch_size={batch}, dataset=dict(pipeline={{{{_base_.test_pipeline}}}}))
optim_wrapper = dict(optimizer=dict(
    type='SGD', lr=1.0, momentum=0.0, weight_decay=0.0, _delete_=True))
param_scheduler = None
train_cfg = dict(max_iters=1, val_interval=1)
default_hooks = dict(checkpoint=dict(interval=1))
"""


def write(path: Path, base: Path, batch: int) -> Path:
    path.write_text(f'_base_ = [{str(base)!r}]\n' + EXACT.format(batch=batch))
    return path


def test_two_processes_have_the_gradients_of_the_joined_batch(tiny_config, tmp_path, free_port):
    pair = write(tmp_path / 'pair.py', tiny_config, 1)
    done = subprocess.run(
        ['bash', 'tools/dist_train.sh', str(pair), '2', '--work-dir', str(tmp_path / 'pair')],
        cwd=ROOT, capture_output=True, text=True, timeout=900,  # a busy machine is slow, not wrong
        env={**os.environ, 'PYTHON': sys.executable, 'PORT': str(free_port),
             'CUDA_VISIBLE_DEVICES': '', 'OMP_NUM_THREADS': '1'})  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert 'MMDistributedDataParallel' in (tmp_path / 'pair' / 'pair.py').read_text()

    cfg = training.load_config(write(tmp_path / 'one.py', tiny_config, 2),
                               work_dir=tmp_path / 'one')  # fmt: skip
    runner = training.build_runner(cfg)
    runner.model.cpu()
    runner._init_model_weights()
    start = {k: v.clone() for k, v in runner.model.state_dict().items()}
    training.train(cfg)
    one = torch.load(tmp_path / 'one' / 'iter_1.pth')['state_dict']
    two = torch.load(tmp_path / 'pair' / 'iter_1.pth')['state_dict']
    assert list(one) == list(two)
    for key in one:
        torch.testing.assert_close(two[key], one[key], rtol=1e-4, atol=1e-6, msg=key)
    moved = [k for k in one if (one[k] - start[k]).abs().max() > 1e-4]
    assert len(moved) > len(one) // 2  # gradients that were compared are not zero


def test_without_a_launcher_no_group_is_started():
    assert start_cpu_group('none') is False


@pytest.mark.parametrize('launcher', ['pytorch', 'slurm', 'mpi'])
def test_a_launcher_without_its_variables_says_so(launcher, monkeypatch):
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    for name in list(os.environ):
        if name.startswith(('SLURM_', 'OMPI_')) or name in ('RANK', 'WORLD_SIZE'):
            monkeypatch.delenv(name)
    with pytest.raises(ValueError, match=f'--launcher {launcher}: the environment lacks'):
        start_cpu_group(launcher)
