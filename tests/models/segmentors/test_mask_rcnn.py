"""Mask R-CNN as a segmenter: painting and targets by hand-made tables, losses with torchvision."""

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.registry import MODELS, TRANSFORMS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_ext.datasets import LoadInstances
from mmseg_ext.models.segmentors.mask_rcnn import (
    COCO_NAMES_OF_VOC,
    _label_map,
    coco_label_map,
    instance_targets,
    paint_instances,
)


def _need_torchvision():
    try:
        import torchvision.ops  # noqa: F401
    except Exception as error:  # one for another torch raises RuntimeError
        pytest.skip(f'torchvision: {error}')


def test_painting_by_hand():
    """Two instances of class 1 overlap in the middle, one of class 2 lies on the right."""
    masks = torch.tensor([[[1.0, 0.5, 0.0, 0.0]], [[0.0, 0.8, 0.2, 0.0]], [[0.0, 0.0, 1.0, 0.4]]])
    painted = paint_instances(
        masks, torch.tensor([1, 1, 2]), torch.tensor([0.9, 0.5, 0.6]), num_classes=4)  # fmt: skip
    expected = torch.tensor([
        [0.1, 0.55, 0.4, 0.76],  # what the best class leaves
        [0.9, 0.45, 0.1, 0.0],  # 0.9 * 0.5 beats 0.5 * 0.8
        [0.0, 0.0, 0.6, 0.24],
        [0.0, 0.0, 0.0, 0.0],
    ])  # fmt: skip
    torch.testing.assert_close(painted[:, 0], expected, rtol=0, atol=1e-6)
    assert painted.argmax(0).tolist() == [[1, 0, 2, 0]]


def test_painting_with_another_background_and_without_instances():
    masks, scores = torch.tensor([[[0.7]], [[1.0]]]), torch.tensor([1.0, 1.0])
    painted = paint_instances(
        masks, torch.tensor([0, 2]), scores, num_classes=3, background_index=2)  # fmt: skip
    torch.testing.assert_close(painted[:, 0, 0], torch.tensor([0.7, 0.0, 0.3]))
    no_labels = torch.zeros(0, dtype=torch.long)
    none = paint_instances(torch.zeros(0, 2, 3), no_labels, torch.zeros(0), num_classes=3)
    assert none[0].eq(1).all() and none[1:].eq(0).all()


LABEL = torch.tensor([
    [0, 1, 1, 0, 2],
    [1, 0, 0, 0, 2],
    [0, 0, 255, 0, 0],
    [2, 2, 0, 1, 0],
])  # fmt: skip


def test_targets_are_connected_areas_without_a_map():
    target = instance_targets(LABEL, min_pixels=1)
    assert target['labels'].tolist() == [1, 1, 2, 2]
    assert target['labels'].dtype == torch.int64 and target['masks'].dtype == torch.uint8
    assert target['boxes'].tolist() == [  # left, top, right, bottom; corners touch
        [0, 0, 3, 2], [3, 3, 4, 4], [4, 0, 5, 2], [0, 3, 2, 4]]  # fmt: skip
    assert target['masks'].sum((1, 2)).tolist() == [3, 1, 2, 2]
    painted = (target['masks'] * target['labels'][:, None, None]).amax(0)
    assert torch.equal(painted, torch.where(LABEL == 255, 0, LABEL))


def test_small_areas_and_other_backgrounds():
    assert instance_targets(LABEL, min_pixels=3)['labels'].tolist() == [1]
    target = instance_targets(LABEL, background_index=1, min_pixels=1)
    assert sorted(set(target['labels'].tolist())) == [0, 2]
    empty = instance_targets(torch.full((3, 4), 255))
    shapes = dict(boxes=(0, 4), labels=(0,), masks=(0, 3, 4))
    assert {name: tuple(value.shape) for name, value in empty.items()} == shapes


def test_targets_follow_a_map_of_instances():
    """Two touching things of class 1 stay apart; void and background belong to nobody."""
    label = torch.tensor([[1, 1, 1, 1, 0, 2], [1, 1, 1, 255, 0, 2]])
    ids = torch.tensor([[1, 1, 2, 2, 7, 3], [1, 2, 2, 255, 0, 2]])
    target = instance_targets(label, ids, min_pixels=1)
    assert target['labels'].tolist() == [1, 1, 2]
    assert target['masks'].tolist() == [
        [[1, 1, 0, 0, 0, 0], [1, 0, 0, 0, 0, 0]],
        [[0, 0, 1, 1, 0, 0], [0, 1, 1, 0, 0, 0]],  # its pixel of class 2 goes: four are of class 1
        [[0, 0, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]],
    ]  # fmt: skip
    assert target['boxes'].tolist() == [[0, 0, 2, 2], [1, 0, 4, 2], [5, 0, 6, 1]]


def test_label_tables():
    assert _label_map(None, 3, 0).tolist() == [0, 1, 2, 0]
    assert _label_map(None, 3, 1).tolist() == [1, 0, 2, 1]
    assert _label_map({5: 1, 2: 2}, 3, 0).tolist() == [0, 0, 2, 0, 0, 1, 0]
    with pytest.raises(ValueError, match=r'leads to \[3\], which are none of 3'):
        _label_map({1: 3}, 3, 0)


def test_coco_names_are_voc_s_classes_in_order():
    from mmseg.datasets import PascalVOCDataset

    renamed = dict(airplane='aeroplane', motorcycle='motorbike', couch='sofa', tv='tvmonitor')
    ours = [renamed.get(n, n.replace(' ', '')) for n in COCO_NAMES_OF_VOC]
    assert ['background', *ours] == list(PascalVOCDataset.METAINFO['classes'])
    assert coco_label_map(['__background__', *reversed(COCO_NAMES_OF_VOC)])[20] == 1


@pytest.mark.oracle
def test_coco_names_are_torchvision_s():
    _need_torchvision()
    from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights

    names = MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta['categories']
    assert len(names) == 91 and coco_label_map(names)[1] == 15  # COCO's first is the person
    assert sorted(coco_label_map(names).values()) == list(range(1, 21))
    assert len(_label_map('coco', 21, 0)) <= 92


def _write(path, array):
    path.parent.mkdir(exist_ok=True)
    image = Image.fromarray(array.astype(np.uint8)).convert('P')
    image.putpalette([0, 0, 0, 128, 0, 0] * 128)
    image.putdata(array.flatten().tolist())
    image.save(path)
    return str(path)


def test_maps_of_instances_are_loaded_beside_labels(tmp_path):
    ids = np.array([[1, 1, 0], [2, 255, 2]])
    mask = _write(tmp_path / 'SegmentationClass' / 'a.png', np.minimum(ids, 1))
    results = dict(seg_map_path=mask, gt_seg_map=np.zeros((2, 3), np.uint8),
                   seg_fields=['gt_seg_map'])  # fmt: skip
    load = TRANSFORMS.build(dict(type='LoadInstances'))
    assert 'gt_instance_map' not in load(dict(results, seg_fields=['gt_seg_map']))
    instances = _write(tmp_path / 'SegmentationObject' / 'a.png', ids)
    loaded = load(results)
    assert loaded['gt_instance_map'].tolist() == ids.tolist()
    assert loaded['seg_fields'] == ['gt_seg_map', 'gt_instance_map']
    _write(tmp_path / 'SegmentationObject' / 'a.png', ids[:1])
    with pytest.raises(ValueError, match=f'{instances}: the instances are .1, 3.'):
        load(dict(results, seg_fields=[]))
    assert 'gt_instance_map' not in LoadInstances()(dict(seg_map_path=None))


def test_instances_move_with_labels_and_are_packed():
    ids = np.arange(12, dtype=np.uint8).reshape(3, 4)
    maps = dict(gt_seg_map=ids.copy(), gt_instance_map=ids.copy())
    results = dict(maps, img=np.zeros((3, 4, 3), np.uint8), img_shape=(3, 4), seg_fields=[*maps])
    for step in (dict(type='RandomFlip', prob=1.0), dict(type='RandomCrop', crop_size=(2, 3)),
                 dict(type='PackInstanceInputs', meta_keys=('img_shape',))):  # fmt: skip
        results = TRANSFORMS.build(step)(results)
    sample = results['data_samples']
    moved = sample.gt_instance_map.data
    assert moved.shape == (1, 2, 3) and torch.equal(moved, sample.gt_sem_seg.data)
    assert moved[0, 0, 0] > moved[0, 0, 1]  # mirrored


SMALL = dict(
    type='MaskRCNNSegmentor',
    num_classes=3,
    min_pixels=1,
    data_preprocessor=dict(
        type='mmseg.SegDataPreProcessor',
        mean=[0.0] * 3,
        std=[255.0] * 3,
        bgr_to_rgb=True,
        size=(64, 64),
        seg_pad_val=255,
    ),
    detector=dict(
        min_size=64,
        max_size=96,
        box_detections_per_img=5,
        rpn_post_nms_top_n_train=50,
        rpn_pre_nms_top_n_train=50,
        rpn_post_nms_top_n_test=10,
        rpn_pre_nms_top_n_test=10,
    ),
)


def _sample(instances=None):
    label = torch.zeros(1, 60, 64, dtype=torch.long)
    label[:, 8:40, 8:56] = 1
    label[:, 44:58, 20:50] = 2
    label[:, :2] = 255
    sample = SegDataSample(gt_sem_seg=PixelData(data=label),
                           metainfo=dict(ori_shape=(30, 32), img_shape=(60, 64)))  # fmt: skip
    if instances is not None:
        sample.gt_instance_map = PixelData(data=instances)
    return sample


@pytest.mark.oracle
def test_trains_on_labels_and_on_instances():
    _need_torchvision()
    torch.manual_seed(0)
    net = MODELS.build(SMALL).train()
    ids = torch.zeros(1, 60, 64, dtype=torch.long)
    ids[:, 8:40, 8:30], ids[:, 8:40, 30:56] = 1, 2
    image = torch.randint(0, 256, (3, 60, 64), dtype=torch.uint8)
    data = net.data_preprocessor(
        dict(inputs=[image, image], data_samples=[_sample(), _sample(ids)]), True)  # fmt: skip
    targets = [net._target(sample) for sample in data['data_samples']]
    assert [t['labels'].tolist() for t in targets] == [[1, 2], [1, 1]]
    assert targets[1]['boxes'].tolist() == [[8, 8, 30, 40], [30, 8, 56, 40]]
    losses = net(**data, mode='loss')
    assert sorted(losses) == ['loss_box_reg', 'loss_classifier', 'loss_mask', 'loss_objectness',
                              'loss_rpn_box_reg']  # fmt: skip
    total, _ = net.parse_losses(losses)
    assert total.isfinite()
    total.backward()
    assert [n for n, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.oracle
def test_predicts_what_the_detector_finds_at_the_original_size(monkeypatch):
    _need_torchvision()
    net = MODELS.build(SMALL).eval()
    mask = torch.zeros(1, 1, 60, 64)
    mask[:, :, 20:40, 10:30] = 0.9
    found = dict(masks=mask, labels=torch.tensor([2]), scores=torch.tensor([0.8]))
    monkeypatch.setattr(net.detector, 'forward', lambda images: [found for _ in images])
    (result,) = net.predict(torch.zeros(1, 3, 60, 64), [_sample()])
    assert result.pred_sem_seg.data.shape == (1, 30, 32)
    expected = torch.zeros(30, 32, dtype=torch.long)
    expected[10:20, 5:15] = 2
    assert torch.equal(result.pred_sem_seg.data[0], expected)
    scores = result.seg_logits.data.softmax(0)[:, 15, 10]
    torch.testing.assert_close(scores, torch.tensor([0.28, 0.0, 0.72]), rtol=0, atol=1e-4)
    monkeypatch.undo()
    (result,) = net.predict(torch.rand(1, 3, 60, 64), [_sample()])  # the real one, random weights
    assert result.pred_sem_seg.data.shape == (1, 30, 32)


@pytest.mark.oracle
@pytest.mark.parametrize('num_classes', [91, 21, 2])
def test_parameter_integers(num_classes, monkeypatch):
    """torchvision states 44,401,393 for COCO's 91 classes; those of VOC and BM-Seg are fewer."""
    _need_torchvision()
    from torchvision.models import ResNet50_Weights, detection, resnet50

    stated = detection.MaskRCNN_ResNet50_FPN_Weights.COCO_V1.meta['num_params']
    with torch.device('meta'):
        state = resnet50().state_dict()
    # pretrained backbones have frozen norms, which count no parameters
    monkeypatch.setattr(ResNet50_Weights, 'get_state_dict', lambda *_, **__: state)
    with torch.device('meta'):
        settings = dict(weights_backbone='IMAGENET1K_V1')
        net = MODELS.build(
            dict(type='MaskRCNNSegmentor', num_classes=num_classes, detector=settings)
        )
    a_class = (1024 + 1) + 4 * (1024 + 1) + (256 + 1)  # score, box, mask
    expected = {91: 44_401_393, 21: 44_024_653, 2: 43_922_395}[num_classes]
    assert sum(p.numel() for p in net.parameters()) == expected
    assert stated - (91 - num_classes) * a_class == expected


TRAINED = dict(
    backbone=('maskrcnn_resnet50_fpn', dict(weights_backbone='IMAGENET1K_V1')),
    coco=('maskrcnn_resnet50_fpn', dict(weights='COCO_V1')),
    coco_and_its_classes=('maskrcnn_resnet50_fpn', dict(weights='DEFAULT', num_classes=91)),
    second=('maskrcnn_resnet50_fpn_v2', dict(weights_backbone='IMAGENET1K_V2')),
    random=('maskrcnn_resnet50_fpn', {}),
)


@pytest.mark.oracle
@pytest.mark.parametrize('arch, settings', TRAINED.values(), ids=TRAINED)
def test_without_fetching_the_detector_is_the_same(arch, settings, monkeypatch):
    _need_torchvision()
    from torchvision.models import WeightsEnum, detection, resnet50

    def given(weights, **_):
        if 'RCNN' not in type(weights).__name__:
            return resnet50().state_dict()
        monkeypatch.setattr(WeightsEnum, 'get_state_dict', _never)
        return getattr(detection, arch)(weights_backbone=None).state_dict()

    def parts(net):
        eps = {name: getattr(part, 'eps', None) for name, part in net.named_modules()}
        kinds = {name: type(part) for name, part in net.named_modules()}
        return kinds, eps, {name: value.shape for name, value in net.state_dict().items()}

    config = dict(type='MaskRCNNSegmentor', num_classes=21, arch=arch, detector=settings)
    with torch.device('meta'):
        monkeypatch.setattr(WeightsEnum, 'get_state_dict', given)
        fetched = MODELS.build(config)
        monkeypatch.setattr(WeightsEnum, 'get_state_dict', _never)
        found = MODELS.build(dict(config, fetch_weights=False))
    assert parts(found) == parts(fetched) and parts(found)[0]


def _never(*_, **__):
    raise AssertionError('weights were fetched')


@pytest.mark.oracle
def test_settings_are_checked():
    _need_torchvision()
    with pytest.raises(ValueError, match="arch must be 'maskrcnn_resnet50_fpn' or "):
        MODELS.build(dict(SMALL, arch='fasterrcnn_resnet50_fpn'))
    net = MODELS.build(dict(SMALL, label_map={1: 2}))
    with pytest.raises(ValueError, match='label_map is for testing'):
        net.loss(torch.zeros(1, 3, 60, 64), [_sample()])


def test_background_must_be_a_class():
    with pytest.raises(ValueError, match='one of 3 classes, got 3'):
        MODELS.build(dict(SMALL, background_index=3))
