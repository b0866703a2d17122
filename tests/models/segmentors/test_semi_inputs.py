"""A batch of labelled and unlabelled images is taken apart; padding is ignored in all views."""

import pytest
import torch
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

import mmseg_ext  # noqa: F401
from mmseg_ext.models.segmentors.semi_inputs import NO_MASK, Unlabelled, quality_of

ROW = dict(
    type='SegDataPreProcessor', mean=[100, 100, 100], std=[50, 50, 50], bgr_to_rgb=True,
    pad_val=7, seg_pad_val=255, size=(6, 8))  # fmt: skip


def build(row=ROW):
    init_default_scope('mmseg')
    return MODELS.build(dict(type='SemiDataPreProcessor', preprocessor=row))


def image(size, seed):
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (3, *size), generator=generator, dtype=torch.uint8)


def labelled(size=(6, 8), seed=0):
    return image(size, seed), SegDataSample(gt_sem_seg=PixelData(data=image(size, seed)[:1] % 3))


def unlabelled(size=(6, 8), seed=1, *, views=1, reserve=None, valid=None):
    valid = torch.ones(1, *size, dtype=torch.int64) if valid is None else valid
    sample = SegDataSample(gt_sem_seg=PixelData(data=valid))
    meta = dict(
        unlabelled=True, strong_views=tuple(image(size, seed + 50 + k) for k in range(views))
    )
    if reserve is not None:
        meta.update(reserve=reserve)
    sample.set_metainfo(meta)
    return image(size, seed), sample


def batch(*pairs):
    images, samples = map(list, zip(*pairs))
    return dict(inputs=images, data_samples=samples)


def alone(picture, size=(6, 8)):
    """What the row's preprocessor makes of one image."""
    sample = SegDataSample(gt_sem_seg=PixelData(data=torch.zeros(1, *picture.shape[1:])))
    return MODELS.build(ROW)(batch((picture, sample)), True)['inputs'][0]


def test_a_mixed_batch_is_taken_apart():
    net = build()
    data = net(
        batch(labelled(), unlabelled(views=2), labelled(seed=2), unlabelled(seed=3, views=2)), True
    )
    assert data['inputs'].shape == (2, 3, 6, 8) and len(data['data_samples']) == 2
    assert torch.equal(data['inputs'][1], alone(image((6, 8), 2)))
    others = data['unlabelled']
    assert torch.equal(others.weak[1], alone(image((6, 8), 3)))
    assert len(others.strong) == 2 and others.reserve is None
    for view in (0, 1):
        assert torch.equal(others.strong[view][0], alone(image((6, 8), 51 + view)))
        assert torch.equal(others.strong[view][1], alone(image((6, 8), 53 + view)))
    assert not others.ignore.any()


def test_the_labelled_part_is_the_rows_own():
    pairs = labelled(size=(4, 5)), labelled(seed=9)
    expected = MODELS.build(ROW)(batch(*(labelled(size=(4, 5)), labelled(seed=9))), True)
    found = build()(batch(pairs[0], unlabelled(), pairs[1]), True)
    assert torch.equal(found['inputs'], expected['inputs'])
    for one, other in zip(found['data_samples'], expected['data_samples']):
        assert torch.equal(one.gt_sem_seg.data, other.gt_sem_seg.data)
        assert one.metainfo == other.metainfo


def test_padding_of_pipeline_and_preprocessor_is_ignored_and_unknown_in_reserve():
    valid = torch.ones(1, 4, 5, dtype=torch.int64)
    valid[0, 0] = 255  # a rotation's corner, say
    valid[0, 1, 0] = 0  # a letterbox bar of the background
    reserve = torch.arange(20).reshape(4, 5)
    pair = unlabelled(size=(4, 5), valid=valid, reserve=reserve)
    found = build()(batch(labelled(), pair), True)['unlabelled']
    expected = torch.ones(6, 8, dtype=torch.bool)
    expected[1:4, :5] = False
    expected[1, 0] = True
    assert torch.equal(found.ignore[0], expected)
    assert torch.equal(found.reserve[0, :4, :5], reserve)
    assert (found.reserve[0, 4:] == -1).all() and (found.reserve[0, :, 5:] == -1).all()
    assert (found.weak[0, :, 4:] == 7).all() and (found.strong[0][0, :, 4:] == 7).all()


@pytest.mark.parametrize('training', [True, False])
def test_without_unlabelled_images_it_is_the_rows(training):
    found = build()(batch(labelled(), labelled(seed=4)), training)
    expected = MODELS.build(ROW)(batch(labelled(), labelled(seed=4)), training)
    assert set(found) == {'inputs', 'data_samples'}
    assert torch.equal(found['inputs'], expected['inputs'])


def test_a_batch_without_labels_is_refused():
    with pytest.raises(ValueError, match="dict.type='LabelledUnlabelledSampler'"):
        build()(batch(unlabelled(), unlabelled()), True)


def test_quality_of_pseudo_labels_by_hand():
    """Of eight pixels two are padding, four are taken, of three of these the class is known."""
    ignore = torch.tensor([[[False] * 6 + [True] * 2]])
    sure = torch.tensor([[[True, True, True, True, False, False, False, False]]])
    label = torch.tensor([[[0, 1, 2, 2, 0, 0, 0, 0]]])
    reserve = torch.tensor([[[0, 1, 1, NO_MASK, 0, 0, 0, 0]]])
    images = Unlabelled(torch.zeros(1, 3, 1, 8), (), ignore, reserve)
    found = quality_of(label, sure, images, 3)
    assert found['coverage'].item() == pytest.approx(4 / 6)
    assert found['precision'].item() == pytest.approx(2 / 3)
    assert quality_of(label, sure, images._replace(reserve=None), 3).keys() == {'coverage'}
    none = quality_of(label, torch.zeros_like(sure), images, 3)  # a mean must not take it for 0
    assert none['coverage'].item() == 0 and none['precision'].isnan()
