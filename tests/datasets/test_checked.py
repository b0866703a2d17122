"""Bad data: one clear error that names the file and says what to do, before or at its first use."""

import cv2
import numpy as np
import pytest
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS, TRANSFORMS

import mmseg_ext  # noqa: F401


@pytest.fixture(autouse=True)
def _scope():
    init_default_scope('mmseg')


LOAD = [dict(type='LoadImageFromFile'), dict(type='LoadLabels')]


@pytest.fixture
def voc(tmp_path):
    """Two images of a VOC folder, all in order."""
    for folder in ('JPEGImages', 'SegmentationClass', 'ImageSets/Segmentation'):
        (tmp_path / folder).mkdir(parents=True)
    for stem in ('a', 'b'):
        cv2.imwrite(
            str(tmp_path / f'JPEGImages/{stem}.jpg'),
            np.random.default_rng(0).integers(0, 255, (30, 40, 3), dtype=np.uint8),
        )
        cv2.imwrite(str(tmp_path / f'SegmentationClass/{stem}.png'), np.ones((30, 40), np.uint8))
    (tmp_path / 'ImageSets/Segmentation/train.txt').write_text('a\nb\n')
    return tmp_path


def build(root, **settings):
    return DATASETS.build(
        dict(
            type='VOCDataset',
            data_root=str(root),
            data_prefix=dict(img_path='JPEGImages', seg_map_path='SegmentationClass'),
            ann_file='ImageSets/Segmentation/train.txt',
            pipeline=LOAD,
            **settings,
        )
    )


def test_the_fixture_itself_is_fine(voc):
    assert len(build(voc)) == 2 and (build(voc)[1]['gt_seg_map'] == 1).all()


def test_no_data_folder(voc):
    with pytest.raises(FileNotFoundError) as error:
        build(voc / 'gone', how_to_get='run download')
    text = str(error.value)
    assert text.startswith(f'{voc}/gone: no such folder')
    assert 'MMSEG_EXT_DATA' in text and 'data_root' in text and 'run download' in text


def test_no_image_folder_and_no_split_file(voc):
    (voc / 'ImageSets/Segmentation/train.txt').unlink()
    with pytest.raises(FileNotFoundError, match=r'train\.txt: no such split file'):
        build(voc)
    (voc / 'JPEGImages').rename(voc / 'images')
    with pytest.raises(FileNotFoundError, match='JPEGImages: no such folder'):
        build(voc)


def test_empty_split(voc):
    (voc / 'ImageSets/Segmentation/train.txt').write_text('')
    with pytest.raises(ValueError, match=r'train\.txt: the split is empty'):
        build(voc)
    (voc / 'empty').mkdir()
    with pytest.raises(ValueError, match=r'empty/\*\.jpg: the split is empty'):
        DATASETS.build(dict(type='CamVidDataset', data_root=str(voc), data_prefix=dict(
            img_path='empty', seg_map_path='empty')))  # fmt: skip


@pytest.mark.parametrize('gone', ['JPEGImages/b.jpg', 'SegmentationClass/a.png'])
def test_listed_file_that_is_missing(voc, gone):
    (voc / gone).unlink()
    with pytest.raises(FileNotFoundError, match=f'{gone}: no such file'):
        build(voc)


@pytest.mark.parametrize('keep', [0, 5, 300])
@pytest.mark.parametrize('name', ['JPEGImages/a.jpg', 'SegmentationClass/a.png'])
def test_unreadable_file(voc, name, keep):
    data = (voc / name).read_bytes()
    (voc / name).write_bytes(data[: min(keep, len(data) // 2)])
    with pytest.raises(ValueError, match=f'{name}: cannot be decoded.*replace'):
        build(voc)[0]
    assert build(voc)[1] is not None


def test_an_image_that_the_pipeline_leaves_nothing_of_is_named(voc):
    cv2.imwrite(str(voc / 'JPEGImages/a.jpg'), np.zeros((1, 500, 3), np.uint8))
    cv2.imwrite(str(voc / 'SegmentationClass/a.png'), np.ones((1, 500), np.uint8))
    dataset = build(voc)
    resize = dict(type='Resize', scale=(100, 100), keep_ratio=True)
    dataset.pipeline.transforms.append(TRANSFORMS.build(resize))
    with pytest.raises(ValueError, match=r'a\.jpg: the image of 500x1 .*be prepared.*cut it'):
        dataset[0]
    assert dataset[1] is not None


def test_an_error_that_is_not_the_files_stays_as_it_is(voc):
    class Broken:
        def __call__(self, results):
            raise AssertionError('my own')

    dataset = build(voc)
    dataset.pipeline.transforms.append(Broken())
    with pytest.raises(AssertionError, match='my own'):
        dataset[0]


@pytest.mark.parametrize(
    'shape, remedy',
    [
        ((40, 30), 'if an EXIF tag turns the image'),
        ((20, 30), 'resize the mask with nearest'),
    ],
    ids=['turned', 'other'],
)
def test_mask_of_another_size(voc, shape, remedy):
    cv2.imwrite(str(voc / 'SegmentationClass/a.png'), np.ones(shape, np.uint8))
    size = f'{shape[1]}x{shape[0]}'
    message = rf'a\.png: the mask is {size} .*a\.jpg is 40x30: pair the right files, or {remedy}'
    with pytest.raises(ValueError, match=message):
        build(voc)[0]


def test_mask_is_compared_with_the_file_and_not_with_the_resized_image(voc):
    resize = TRANSFORMS.build(dict(type='Resize', scale=(20, 15)))
    dataset = build(voc)
    dataset.pipeline.transforms.insert(1, resize)
    assert dataset[0]['gt_seg_map'].shape == (30, 40)


@pytest.mark.parametrize('label', [21, 100, 254])
def test_label_out_of_range(voc, label):
    mask = np.ones((30, 40), np.uint8)
    mask[3, :7] = label
    mask[5] = 255
    cv2.imwrite(str(voc / 'SegmentationClass/a.png'), mask)
    with pytest.raises(ValueError) as error:
        build(voc)[0]
    text = str(error.value)
    assert text.startswith(f'{voc}/SegmentationClass/a.png: 7 pixels have the label ids [{label}]')
    assert '0..20' in text and 'num_classes=21' in text and f'label_map={{{label}: 255}}' in text


def test_ignored_and_largest_labels_pass(voc):
    mask = np.full((30, 40), 20, np.uint8)
    mask[5] = 255
    cv2.imwrite(str(voc / 'SegmentationClass/a.png'), mask)
    np.testing.assert_array_equal(build(voc)[0]['gt_seg_map'], mask)


def test_image_smaller_than_the_crop_is_padded_with_mean_and_ignore(voc):
    """The preprocessor pads to the crop; the labels there are ignored, the image is the mean."""
    import torch
    from mmseg.registry import MODELS

    pipeline = [
        *LOAD,
        dict(type='RandomCrop', crop_size=(64, 64)),
        dict(type='PackSegInputs'),
    ]
    dataset = build(voc)
    dataset.pipeline = type(dataset.pipeline)([TRANSFORMS.build(step) for step in pipeline])
    item = dataset[0]
    assert item['inputs'].shape == (3, 30, 40)
    preprocessor = MODELS.build(
        Config(dict(type='SegDataPreProcessor', mean=[100.0] * 3, std=[50.0] * 3, bgr_to_rgb=True,
                    pad_val=0, seg_pad_val=255, size=(64, 64)))._cfg_dict
    )  # fmt: skip
    out = preprocessor(
        dict(inputs=[item['inputs']], data_samples=[item['data_samples']]), training=True
    )
    label = out['data_samples'][0].gt_sem_seg.data
    assert out['inputs'].shape == (1, 3, 64, 64) and label.shape == (1, 64, 64)
    outside = torch.ones(64, 64, dtype=torch.bool)
    outside[:30, :40] = False
    assert (label[0][outside] == 255).all() and (label[0][~outside] == 1).all()
    assert (out['inputs'][0][:, outside] == 0).all()  # after normalisation 0 is the mean
