"""Masks that mean something else than at the start of a training; labels worked out by hand."""

from pathlib import Path

import pytest

from mmseg_ext.engine.resume_masks import check_masks

NAME = Path('run/iter_9.pth')
CLASSES = ['sky', 'tree', 'car']
STRICT = dict(strict_label_map=True)


def settings(wrapped=False, pipeline=(), **dataset) -> dict:
    """Settings as they are read from text: lists, no tuples."""
    meta = dict(classes=CLASSES, palette=[[0, 0, 0], [0, 9, 0], [9, 0, 0]])
    one = dict(type='FolderDataset', metainfo=meta, pipeline=list(pipeline), **dataset)
    two = dict(type='ConcatDataset', datasets=[dict(type='RepeatDataset', dataset=one)])
    return dict(train_dataloader=dict(dataset=two if wrapped else one))


def colored(palette, void=()) -> dict:
    made = settings(mask_format='color', void_colors=[list(color) for color in void])
    made['train_dataloader']['dataset']['metainfo'] = dict(classes=CLASSES, palette=palette)
    return made


@pytest.mark.parametrize(
    ('then', 'now', 'told'),
    [
        (
            settings(label_map={0: 0, 1: 1, 2: 2}, **STRICT),
            settings(label_map={0: 0, 1: 2, 2: 1}, **STRICT),
            'the value 1 meant tree, and now it means car',
        ),
        (settings(), settings(label_map={1: 0}), 'the value 1 meant tree, and now it means sky'),
        (
            settings(label_map={255: 1}),
            settings(),
            'value 255 meant tree, and now it means ignored',
        ),
        (
            settings(label_map={7: 255}, ignore_index=255),
            settings(label_map={7: 2}),
            'the value 7 meant ignored, and now it means car',
        ),
        (
            settings(wrapped=True, label_map={4: 1}),
            settings(wrapped=True, label_map={4: 2}),
            r'means car \(train_dataloader.dataset.datasets.0.dataset\)',
        ),
        (
            colored([[0, 0, 0], [0, 9, 0], [9, 0, 0]]),
            colored([[0, 0, 0], [9, 0, 0], [0, 9, 0]]),
            r'the color \(0, 9, 0\) meant tree, and now it means car',
        ),
        (
            colored([[0, 0, 0], [0, 9, 0], [9, 0, 0]], void=[(1, 1, 1)]),
            colored([[0, 0, 0], [0, 9, 0], [1, 1, 1]]),
            r'the color \(1, 1, 1\) meant ignored, and now it means car',
        ),
        (settings(), colored([[0, 0, 0]]), 'mask_format was index, and now it is color'),
        (settings(mask_threshold=1), settings(mask_threshold=99), 'mask_threshold was 1, and now'),
        (
            settings(),
            settings(reduce_zero_label=True),
            'reduce_zero_label was False, and now it is',
        ),
        (
            settings(pipeline=[dict(type='LoadAnnotations', reduce_zero_label=True)]),
            settings(pipeline=[dict(type='LoadAnnotations')]),
            'reduce_zero_label was True',
        ),
    ],
)
def test_another_meaning_is_refused_with_the_remedy(then, now, told):
    remedy = '.*: go on with the data set as it was, or train in another --work-dir'
    with pytest.raises(ValueError, match=f'run/iter_9.pth was trained .*{told}{remedy}'):
        check_masks(then, now, NAME)
    assert check_masks(then, then, NAME) is None and check_masks(now, now, NAME) is None


@pytest.mark.parametrize(
    ('then', 'now'),
    [
        # a value that stopped the training, and has its class now
        (settings(label_map={0: 0, 1: 1}, **STRICT), settings(label_map={0: 0, 1: 1, 7: 255})),
        (settings(), settings(label_map={7: 255})),
        (settings(), settings(label_map={0: 0, 1: 1, 2: 2, 255: 255}, **STRICT)),  # in other words
        (settings(reduce_zero_label=False), settings(pipeline=[dict(type='LoadLabels')])),
        (colored([[0, 0, 0], [0, 9, 0], [9, 0, 0]]), colored([[0, 0, 0], [0, 9, 0], [8, 0, 0]])),
        (settings(), dict(train_dataloader=dict(dataset=dict(type='CamVidDataset')))),
        (settings(data_root='a'), settings(data_root='b')),
        ({}, settings(label_map={1: 0})),  # a checkpoint without settings
        (dict(train_dataloader=[1]), settings()),
        (settings(label_map=[3], void_colors=3), settings()),
        (colored([['a'], [[1]], 3]), colored(5)),  # foreign
    ],
)
def test_the_same_meaning_goes_on(then, now):
    assert check_masks(then, now, NAME) is None


def test_the_colors_of_a_picture_mean_nothing_to_masks_of_values():
    other = settings()
    other['train_dataloader']['dataset']['metainfo'] = dict(
        classes=CLASSES, palette=[[0, 0, 0], [9, 0, 0], [0, 9, 0]]
    )
    assert check_masks(settings(), other, NAME) is None
