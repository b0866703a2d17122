"""The threshold comes from the validation images alone, and there is none if they are tested."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.runner import Runner

from mmseg_ext.apis.run.threshold import threshold_of_val
from mmseg_ext.evaluation.thresholds import best_threshold, score_histogram

CFG = Config(dict(val_dataloader=dict(batch_size=1)))


class _Images:
    metainfo = dict(classes=('background', 'bone'))

    def __init__(self, *paths):
        self.paths = paths

    def __len__(self):
        return len(self.paths)

    def get_data_info(self, place):
        return dict(img_path=self.paths[place])


class _Loader(list):
    """Batches, each the probabilities and the truth of an image."""

    def __init__(self, dataset, batches):
        super().__init__(batches)
        self.dataset = dataset


class _Model:
    def test_step(self, batch):
        prob, truth = batch
        logits = torch.stack([1 - prob, prob])
        sample = dict(seg_logits=dict(data=logits), gt_sem_seg=dict(data=truth[None]))
        return [SimpleNamespace(to_dict=lambda: sample)]


@pytest.fixture
def val(monkeypatch):
    random = np.random.default_rng(0)
    truth = torch.from_numpy((random.random((2, 20, 20)) < 0.2).astype(int))
    prob = torch.from_numpy(random.random((2, 20, 20))) * 0.3 + 0.25 * truth
    loader = _Loader(_Images('val/a.png', 'val/b.png'), list(zip(prob, truth)))
    monkeypatch.setattr(Runner, 'build_dataloader', lambda settings: loader)
    return prob, truth


def _runner(*paths):
    return SimpleNamespace(model=_Model(), test_dataloader=SimpleNamespace(dataset=_Images(*paths)))


def test_it_is_the_best_one_of_the_validation_images(val):
    prob, truth = val
    expected = best_threshold(score_histogram(prob.float(), truth == 1, truth >= 0))
    chosen, why = threshold_of_val(_runner('test/a.png'), CFG)
    assert chosen == expected and chosen != 0.5 and why == ''


def test_no_threshold_from_test_images_or_without_validation(val):
    chosen, why = threshold_of_val(_runner('test/a.png', 'val/../val/b.png'), CFG)
    assert chosen is None and why == '1 of the validation images are test images'
    assert threshold_of_val(_runner('a'), Config(dict()))[1] == 'the config has no val_dataloader'
    val[1].zero_()
    chosen, why = threshold_of_val(_runner('test/a.png'), CFG)
    assert chosen is None and 'no validation image has a pixel' in why


def test_validation_images_that_cannot_be_read_are_told(monkeypatch):
    def fail(settings):
        raise FileNotFoundError('no folder val')

    monkeypatch.setattr(Runner, 'build_dataloader', fail)
    assert threshold_of_val(_runner('a'), CFG)[1].endswith('cannot be read: no folder val')
