"""Labels without logits equal those that mmseg takes from logits of the full size."""

import pytest
import torch
from mmseg.structures import SegDataSample
from support.small_network import small_network

from mmseg_ext.models.segmentors.label_only import can_give_labels_alone, predict_labels


def network(**changes):
    """A network of stride 8 with logits that have areas, as those of a trained one."""
    built = small_network(**changes).eval()

    def logits(features):  # untrained ones would be those of one class
        size = features[-1].shape[2:]
        generator = torch.Generator().manual_seed(size[0])
        random = torch.randn(2, 5, *size, generator=generator)
        return [random, None] if type(built.decode_head).__name__ == 'EncHead' else random

    built.decode_head.forward = logits
    return built


def samples(size, **facts):
    known = dict(ori_shape=size, img_shape=size, pad_shape=size, padding_size=[0, 0, 0, 0])
    return [SegDataSample(metainfo=dict(known, **facts)) for _ in range(2)]


FACTS = dict(
    plain={},
    padded=dict(padding_size=[0, 6, 0, 3], ori_shape=(37, 42)),
    padded_by_the_preprocessor=dict(img_padding_size=[2, 4, 1, 2], ori_shape=(37, 42)),
    flipped=dict(flip=True, flip_direction='horizontal'),
    flipped_down=dict(flip=True, flip_direction='vertical', padding_size=[0, 6, 0, 3],
                      ori_shape=(37, 42)),
    larger=dict(ori_shape=(77, 101)),
    smaller_and_padded=dict(ori_shape=(20, 31), padding_size=[0, 8, 4, 0]),
)  # fmt: skip


KINDS = dict(
    plain={},
    letterbox=dict(type='LetterboxEncoderDecoder'),
    several_scales=dict(
        type='MultiScaleEncoderDecoder', scales=(0.5, 1, 1.5), loss_definition='full'
    ),
    more_than_logits=dict(head=dict(type='EncHead', in_channels=[8, 16, 32], in_index=[1, 2, 3])),
)


def made(kind, align_corners):
    changes = KINDS[kind]
    head = dict(changes.get('head', {}), align_corners=align_corners)
    return network(**dict(changes, head=head))


@pytest.mark.parametrize('facts', FACTS.values(), ids=FACTS)
@pytest.mark.parametrize('align_corners', [False, True])
@pytest.mark.parametrize('kind', KINDS)
@torch.no_grad()
def test_labels_are_those_of_full_logits(facts, align_corners, kind):
    model = made(kind, align_corners)
    images = torch.nn.functional.interpolate(torch.randn(2, 3, 6, 7), size=(40, 48))
    plain = model.predict(images, samples((40, 48), **facts))
    assert can_give_labels_alone(model)
    found = predict_labels(model, images, samples((40, 48), **facts))
    assert 'seg_logits' not in found[0]
    for one, expected in zip(found, plain):
        label = expected.pred_sem_seg.data
        assert one.pred_sem_seg.data.shape == label.shape and len(label.unique()) > 1
        highest, second = expected.seg_logits.data.topk(2, 0).values  # or probabilities
        sure = (highest - second > 1e-5)[None]
        assert sure.float().mean() > 0.99
        assert torch.equal(one.pred_sem_seg.data[sure], label[sure])


UNABLE = dict(
    windows=dict(test_cfg=dict(mode='slide', crop_size=(32, 32), stride=(16, 16))),
    one_logit=dict(head=dict(num_classes=2, out_channels=1, threshold=0.3)),
    passes=dict(type='MonteCarloEncoderDecoder', num_passes=2),
    crf=dict(type='CRFEncoderDecoder', segmentor='MultiScaleEncoderDecoder',
             loss_definition='full', crf=dict(type='DenseCRF')),
)  # fmt: skip


@pytest.mark.parametrize('changes', UNABLE.values(), ids=UNABLE)
@torch.no_grad()
def test_a_model_that_predicts_in_another_way_is_left_alone(changes):
    if 'num_passes' in changes:
        changes = dict(changes, head=dict(dropout_ratio=0.1))
    model = network(**changes)
    assert not can_give_labels_alone(model)


def test_nan_is_refused():
    model = network()
    del model.decode_head.forward
    model.decode_head.conv_seg.bias.data[:] = torch.nan
    with torch.no_grad(), pytest.raises(ValueError, match='NaN'):
        predict_labels(model, torch.randn(2, 3, 16, 16), samples((16, 16)))
