"""Which checkpoints of a run are whole, and which is the best, the last, one to go on from."""

import os

import pytest
import torch

from mmseg_ext.core.saved import best_checkpoint, find_resumable, last_checkpoint


def test_the_newest_whole_checkpoint_counts_by_its_iteration(tmp_path, whole_checkpoint):
    assert find_resumable(tmp_path).path is None
    for age, number in enumerate((8, 9, 10, 100)):  # 8 is the newest by date
        path = whole_checkpoint(tmp_path / f'iter_{number}.pth')
        os.utime(path, (1000 - age, 1000 - age))
    whole_checkpoint(tmp_path / 'best_mIoU_iter_8.pth')
    (tmp_path / 'last_checkpoint').write_text('/gone/iter_12.pth')
    (tmp_path / 'iter_100.pth').write_bytes((tmp_path / 'iter_100.pth').read_bytes()[:200])
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir())
    found = find_resumable(tmp_path)
    assert found.path == tmp_path / 'iter_10.pth' and found.iteration == 10
    [(path, reason)] = found.skipped
    assert path.name == 'iter_100.pth' and 'iter_100.pth cannot be read' in reason
    assert last_checkpoint(tmp_path).name == 'iter_10.pth'
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.iterdir()) == before
    torch.save(dict(state_dict=dict(w=torch.ones(1))), tmp_path / 'iter_10.pth')
    assert find_resumable(tmp_path).path.name == 'iter_9.pth'  # weights alone: cannot go on
    assert last_checkpoint(tmp_path).name == 'iter_10.pth'


@pytest.mark.parametrize('meta', [{}, dict(iter=-1, epoch=0), dict(iter='9', epoch=0), 3, None])
def test_a_checkpoint_that_does_not_say_how_far_it_is_cannot_go_on(
    tmp_path, whole_checkpoint, meta
):
    whole_checkpoint(tmp_path / 'iter_9.pth', meta=meta)
    found = find_resumable(tmp_path)
    assert found.path is None and 'how many iterations' in found.skipped[0][1]


def test_epochs_and_iterations_in_one_folder_are_compared_by_what_the_files_say(
    tmp_path, whole_checkpoint
):
    whole_checkpoint(tmp_path / 'epoch_3.pth', iteration=300)
    whole_checkpoint(tmp_path / 'iter_250.pth')
    assert find_resumable(tmp_path).path.name == 'epoch_3.pth'
    whole_checkpoint(tmp_path / 'iter_301.pth')
    assert find_resumable(tmp_path).path.name == 'iter_301.pth'


def test_the_best_is_the_one_that_the_run_has_noted_and_whole(tmp_path, whole_checkpoint):
    with pytest.raises(FileNotFoundError, match='no best checkpoint'):
        best_checkpoint(tmp_path)
    info = dict(best_ckpt='/somewhere/else/best_mIoU_iter_4.pth')
    hub = dict(log_scalars={}, runtime_info=info, resumed_keys={})
    whole_checkpoint(tmp_path / 'iter_12.pth', message_hub=hub)
    for number, date in ((4, 100), (8, 300), (6, 200)):
        path = whole_checkpoint(tmp_path / f'best_mIoU_iter_{number}.pth')
        os.utime(path, (date, date))
    assert best_checkpoint(tmp_path).name == 'best_mIoU_iter_4.pth'
    (tmp_path / 'best_mIoU_iter_4.pth').write_bytes(b'PK')
    assert best_checkpoint(tmp_path).name == 'best_mIoU_iter_8.pth'
    for number in (6, 8):
        (tmp_path / f'best_mIoU_iter_{number}.pth').write_bytes(b'')
    with pytest.raises(FileNotFoundError, match='best_mIoU_iter_8.pth cannot be read'):
        best_checkpoint(tmp_path)
