"""The registered metric: totals, files, messages, and two processes."""

import json
import pickle
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from mmengine.structures import PixelData
from mmseg.evaluation import IoUMetric
from mmseg.registry import METRICS
from mmseg.structures import SegDataSample
from PIL import Image

from mmseg_ext.apis.run.image_names import name_outputs
from mmseg_ext.evaluation import image_counts, seg_metric
from mmseg_ext.evaluation.confusion import (
    confusion_matrix,
    counts_from_confusion,
    metrics_from_confusion,
)
from mmseg_ext.evaluation.image_counts import ImageCounts, images_to_keep, read_counts
from mmseg_ext.evaluation.intervals import score_intervals
from mmseg_ext.evaluation.seg_metric import SegMetric

CLASSES = ('sky', 'tree', 'road', 'sign')


def build(**settings):
    metric = METRICS.build(dict(type='SegMetric', **settings))
    metric.dataset_meta = dict(classes=CLASSES)
    return metric


def make_images(count=5):
    """Images of different sizes; the class ``sign`` is predicted but never labelled."""
    random = np.random.default_rng(0)
    images = []
    for index in range(count):
        shape = (6, 7 + index)
        label = random.integers(0, 3, shape)
        pred = np.where(random.random(shape) < 0.7, label, random.integers(0, 4, shape))
        label[0] = 255
        images.append((pred, label))
    return images


def as_sample(pred, label, name='/data/a.png', **more):
    sample = dict(
        pred_sem_seg=dict(data=torch.from_numpy(pred)[None]),
        gt_sem_seg=dict(data=torch.from_numpy(label)[None]),
        img_path=name,
    )
    return dict(sample, **more)


def run(metric, images, *, size=None, batch=2):
    for start in range(0, len(images), batch):
        metric.process(
            None,
            [
                as_sample(*images[i], name=f'/data/{i}.png')
                for i in range(start, min(start + batch, len(images)))
            ],
        )
    return metric.evaluate(len(images) if size is None else size)


def total_of(images):
    return sum(confusion_matrix(*image, len(CLASSES)) for image in images)


def test_equals_the_summed_matrix_in_per_cent():
    images = make_images()
    expected = metrics_from_confusion(total_of(images))
    got = run(build(), images)
    names = ['aAcc', 'mIoU', 'mPA', 'mPrecision', 'mF1', 'mDice', 'FWIoU']
    assert sorted(got) == sorted([*names, 'mAcc'])
    for name in names:
        assert got[name] == pytest.approx(100 * expected[name], abs=1e-9)
    assert got['mAcc'] == got['mPA']
    assert got['mIoU'] != round(got['mIoU'], 2)  # the best checkpoint is chosen unrounded


def test_equals_mmsegs_metric_on_real_data_samples():
    ours, theirs = build(prefix='val'), IoUMetric(iou_metrics=['mIoU', 'mFscore'])
    theirs.dataset_meta = ours.dataset_meta
    for pred, label in make_images():
        sample = SegDataSample(metainfo=dict(img_path='x.png'))
        sample.pred_sem_seg = PixelData(data=torch.from_numpy(pred)[None])
        sample.gt_sem_seg = PixelData(data=torch.from_numpy(label)[None])
        for metric in (ours, theirs):
            metric.process({}, [sample.to_dict()])
    got, expected = ours.evaluate(5), theirs.evaluate(5)
    for name, their_name in dict(
        aAcc='aAcc', mIoU='mIoU', mPA='mRecall', mAcc='mAcc', mPrecision='mPrecision'
    ).items():
        assert got[f'val/{name}'] == pytest.approx(expected[their_name], abs=0.0051)


def test_a_second_round_starts_afresh():
    metric, images = build(), make_images()
    first = run(metric, images[:2])
    second = run(metric, images[2:])
    assert first != second
    assert second == run(build(), images[2:])


def test_files_hold_what_was_counted(tmp_path):
    images = make_images()
    files = dict(
        per_image_file=str(tmp_path / 'new' / 'per_image.npz'),
        summary_file=str(tmp_path / 'new' / 'results.json'),
    )
    got = run(build(extra=dict(config='c.py', seed=3), **files), images)
    counts = [counts_from_confusion(confusion_matrix(*image, 4)) for image in images]
    with np.load(files['per_image_file']) as archive:
        for index, member in enumerate(('tp', 'pred', 'label')):
            assert archive[member].dtype == np.int64
            assert np.array_equal(archive[member], [c[index] for c in counts])
        assert archive['names'].tolist() == [f'{i}.png' for i in range(5)]
        rows = np.stack([archive[member] for member in ('tp', 'pred', 'label')], 1)
    intervals = score_intervals(rows)
    report = json.loads(Path(files['summary_file']).read_text())
    assert report['confusion'] == total_of(images).tolist()
    assert report['absent_classes'] == ['sign']
    assert report['per_class']['Acc']['sign'] is None  # undefined: no such pixel was labelled
    assert report['per_class']['IoU']['sign'] == 0  # predicted in vain
    assert (report['config'], report['seed'], report['num_images']) == ('c.py', 3, 5)
    for name, entry in report['metrics'].items():
        assert 100 * entry['value'] == got[name]
        assert (entry['low'], entry['high']) == pytest.approx(intervals.means[name], abs=1e-12)
    ends = report['per_class_intervals']['IoU']
    assert tuple(ends['road']) == pytest.approx(intervals.classes['IoU'][2], abs=1e-12)
    assert ends['sign'] == [None, None]  # its IoU is 0 in every image
    facts = report['intervals']
    assert (facts['unit'], facts['units'], facts['level']) == ('image', 5, 0.95)
    assert facts['class_units'] == dict(sky=5, tree=5, road=5, sign=0)
    assert 'jackknife' in facts['method'] and 'videos' not in facts
    assert sorted(p.name for p in (tmp_path / 'new').iterdir()) == ['per_image.npz', 'results.json']


def test_nothing_is_written_unless_asked(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run(build(), make_images())
    assert list(tmp_path.iterdir()) == []


def test_an_interval_stands_beside_every_mean(monkeypatch):
    printed = []
    monkeypatch.setattr(seg_metric, 'tell_result', printed.append)
    got = run(build(background_index=0), make_images())
    lines = '\n'.join(printed).splitlines()
    assert {'mPA_no_bg', 'mPrecision_no_bg'} < set(got)
    for name in set(got) - {'mAcc'}:
        row = next(line for line in lines if f' {name} ' in line)
        value, interval = (cell.strip() for cell in row.split('|')[2:4])
        low, high = map(float, interval.split(' .. '))
        assert low <= float(value) <= high and low < high
    assert any('without a labelled pixel (skip): sign' in line for line in lines)


def _report(tmp_path, images, names, *, meta=None, groups=None, **settings):
    metric = build(
        summary_file=str(tmp_path / 's.json'), per_image_file=str(tmp_path / 'c.npz'), **settings
    )
    metric.dataset_meta = dict(metric.dataset_meta, **(meta or {}))
    for index, image in enumerate(images):
        sample = as_sample(*image, name=f'/v/{names[index]}')
        metric.process(None, [dict(sample, group=groups[index]) if groups else sample])
    metric.evaluate(len(images))
    report = json.loads((tmp_path / 's.json').read_text())
    with np.load(tmp_path / 'c.npz') as file:
        rows = np.stack([file[member] for member in ('tp', 'pred', 'label')], 1)
        return report, rows, file['groups'].tolist() if 'groups' in file.files else None


@pytest.mark.parametrize(
    'settings, unit',
    [
        (dict(group_pattern=r'^(\w)_'), 'group'),
        (dict(group_pattern=r'^(\w)_', unit='patient', meta=dict(group_unit='eye')), 'patient'),
        (dict(groups=[*'aabbcc'], meta=dict(group_unit='patient')), 'patient'),
        (dict(groups=[*'aabbcc'], meta=dict(video_pattern=r'^(\w)')), 'group'),
        (dict(meta=dict(video_pattern=r'^(\w)_')), 'video'),
    ],
)
def test_intervals_are_over_groups(tmp_path, settings, unit):
    names = [f'{name}_{index}.png' for index, name in enumerate('aabbcc')]
    report, rows, groups = _report(tmp_path, make_images(6), names, **settings)
    assert groups == [*'aabbcc']
    expected = score_intervals(rows, groups=groups).means['mIoU']
    entry = report['metrics']['mIoU']
    assert (entry['low'], entry['high']) == pytest.approx(expected, abs=1e-12)
    assert (report['intervals']['unit'], report['intervals']['units']) == (unit, 3)
    assert 'videos' not in report['intervals']


def test_two_videos_are_no_units_but_are_named(tmp_path, monkeypatch):
    printed = []
    monkeypatch.setattr(seg_metric, 'tell_result', printed.append)
    names = [f'{"one" if index < 4 else "two"}_{index}.png' for index in range(6)]
    meta = dict(video_pattern=r'^([^_]+)_')
    report, rows, groups = _report(tmp_path, make_images(6), names, meta=meta)
    assert groups is None
    facts, entry = report['intervals'], report['metrics']['mIoU']
    assert (facts['unit'], facts['units'], facts['videos']) == ('frame', 6, dict(one=4, two=2))
    assert (entry['low'], entry['high']) == score_intervals(rows).means['mIoU']
    assert '95 % intervals over 6 frames. Only 6 frames' in printed[0]
    assert 'The 6 frames are of 2 videos (one 4, two 2): neighbouring' in printed[0]
    report, *_ = _report(tmp_path, make_images(2), ['a.png', 'b.png'], meta=meta)  # renamed files
    assert report['intervals']['unit'] == 'image'


def test_too_few_units_and_rare_classes_are_named(monkeypatch):
    printed = []
    monkeypatch.setattr(seg_metric, 'tell_result', printed.append)
    run(build(), make_images(2))
    assert 'No intervals: 2 images, and they take 3.' in printed[0]
    images = make_images(25)
    for pred, label in images[2:]:
        pred[pred == 2], label[label == 2] = 1, 1
    run(build(), images)
    assert '95 % intervals over 25 images. Seen in fewer than 5 images: road 2.' in printed[1]


def test_all_ignored_gives_nan_and_null(tmp_path):
    pred = np.zeros((3, 3), int)
    file = tmp_path / 's.json'
    got = run(build(summary_file=str(file)), [(pred, np.full((3, 3), 255))])
    assert len(got) >= 5 and all(np.isnan(value) for value in got.values())
    report = json.loads(file.read_text())
    assert report['metrics']['mIoU'] == dict(value=None, low=None, high=None)
    assert report['absent_classes'] == list(CLASSES)


def test_ignore_index_comes_from_argument_then_data_set():
    pred, label = np.array([[0, 1]]), np.array([[0, 0]])
    label[0, 1] = 9
    metric = build()
    metric.dataset_meta = dict(classes=CLASSES, ignore_index=9)
    assert run(metric, [(pred, label)])['aAcc'] == 100
    metric = build(ignore_index=0)
    metric.dataset_meta = dict(classes=CLASSES, ignore_index=9)
    with pytest.raises(ValueError, match=r'\[9\]'):
        run(metric, [(pred, label)])


def test_one_channel_heads_predict_floats():
    pred, label = np.array([[0.0, 1.0, 1.0]], np.float32), np.array([[0, 1, 0]])
    assert run(build(), [(pred, label)])['aAcc'] == pytest.approx(200 / 3)


def test_problems_name_the_image():
    pred, label = np.zeros((4, 5), int), np.zeros((5, 4), int)
    with pytest.raises(ValueError, match=r'/data/0.png: .*differ in size: \(4, 5\) and \(5, 4\)'):
        run(build(), [(pred, label)])
    sample = as_sample(pred, np.full((4, 5), 77), seg_map_path='/masks/a.png')
    with pytest.raises(ValueError, match=r'/data/a.png \(mask /masks/a.png\).*\[77\]'):
        build().process(None, [sample])
    with pytest.raises(ValueError, match='split empty'):
        build().evaluate(0)
    metric = build()
    metric.dataset_meta = {}
    with pytest.raises(ValueError, match='metainfo=dict'):
        metric.process(None, [sample])
    with pytest.raises(ValueError, match="does not match the image name '0.png'"):
        run(build(group_pattern='x'), make_images(1))


@pytest.mark.parametrize(
    'settings, words',
    [
        (dict(absent='nan'), "got 'nan'"),
        (dict(format_only=True), 'needs an output_dir'),
    ],
)
def test_bad_settings_are_refused(settings, words):
    with pytest.raises(ValueError, match=words):
        SegMetric(**settings)


def test_predictions_are_saved_with_the_data_sets_own_ids(tmp_path):
    pred = np.array([[0, 1], [2, 3]])
    metric = build(output_dir=str(tmp_path / 'out'), format_only=True)
    sample = as_sample(pred, pred)
    del sample['gt_sem_seg']
    metric.process(None, [sample])
    metric.process(None, [dict(sample, img_path='/d/b.jpg', reduce_zero_label=True)])
    assert metric.evaluate(2) == {}
    assert np.array_equal(np.array(Image.open(tmp_path / 'out' / 'a.png')), pred)
    assert np.array_equal(np.array(Image.open(tmp_path / 'out' / 'b.png')), pred + 1)


def test_batch_f_score_is_the_mean_over_batches():
    from mmseg_ext.evaluation.batch_f_score import batch_f_score

    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 4, 5, 6, generator=generator) * 3
    label = torch.randint(0, 3, (3, 5, 6), generator=generator)
    metric = build(batch_f_score=True)
    for where in (slice(0, 2), slice(2, 3)):
        metric.process(
            None,
            [
                as_sample(x.argmax(0).numpy(), y.numpy(), seg_logits=dict(data=x))
                for x, y in zip(logits[where], label[where])
            ],
        )
    prob = logits.softmax(1)
    expected = [batch_f_score(prob[w], label[w], 4) for w in (slice(0, 2), slice(2, 3))]
    assert metric.evaluate(3)['batch_f_score'] == pytest.approx(50 * sum(expected), abs=1e-6)


@pytest.mark.parametrize(
    'lengths, size, keep',
    [
        ([5], 5, [5]),
        ([3, 3], 5, [3, 2]),
        ([3, 3], 6, [3, 3]),
        ([2, 2, 2, 2], 5, [2, 1, 1, 1]),
        ([1, 1, 1, 1], 2, [1, 1, 0, 0]),
        ([5, 2], 7, [5, 2]),  # contiguous shares without repetition
        ([3, 2], 5, [3, 2]),
        ([3], 5, [3]),  # a run that stopped early
    ],
)
def test_repeated_images_are_found(lengths, size, keep):
    assert images_to_keep(lengths, size) == keep


@pytest.mark.parametrize('lengths, size', [([5], 3), ([4, 1], 3), ([4, 4], 5)])
def test_unexplained_surplus_is_refused(lengths, size):
    with pytest.raises(ValueError, match='DefaultSampler'):
        images_to_keep(lengths, size)


TWO = """
import pickle
import torch
from mmengine.dataset import DefaultSampler
from mmseg_ext.evaluation.intervals import score_intervals
from mmseg_ext.evaluation.seg_metric import SegMetric
from mmseg_ext.evaluation import image_counts
image_counts._GATHER = 2  # several exchanges
images = pickle.load(open({images!r}, 'rb'))
metric = SegMetric(summary_file={summary!r}, per_image_file={counts!r})
metric.dataset_meta = dict(classes={classes!r})
for round in range(2):
    for index in DefaultSampler(images, shuffle=False):
        pred, label = map(torch.from_numpy, images[index])
        metric.process(None, [dict(pred_sem_seg=dict(data=pred[None]),
                                   gt_sem_seg=dict(data=label[None]),
                                   img_path=f'/data/{{index}}.png')])
    scores = metric.evaluate(len(images))
pickle.dump(scores, open({scores!r} + str(rank), 'wb'))
"""


def test_two_processes_count_an_odd_number_of_images_once(tmp_path, two_ranks):
    images = make_images(7)
    (tmp_path / 'images.pkl').write_bytes(pickle.dumps(images))
    names = dict(images='images.pkl', summary='two.json', counts='two.npz', scores='scores')
    paths = {key: str(tmp_path / name) for key, name in names.items()}
    two_ranks(TWO.format(classes=CLASSES, **paths))
    files = dict(summary_file=str(tmp_path / 'one.json'), per_image_file=str(tmp_path / 'one.npz'))
    expected = run(build(**files), images)
    for rank in range(2):
        assert pickle.loads((tmp_path / f'scores{rank}').read_bytes()) == expected
    assert (tmp_path / 'two.json').read_text() == (tmp_path / 'one.json').read_text()
    with np.load(tmp_path / 'one.npz') as one, np.load(tmp_path / 'two.npz') as two:
        for member in ('tp', 'pred', 'label', 'names'):
            assert np.array_equal(one[member], two[member])


def test_memory_stays_flat_in_the_number_of_images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_counts, '_CHUNK', 64)

    def peak(num_images):
        row = np.arange(21)
        tracemalloc.start()
        counts = ImageCounts(21)
        for index in range(num_images):
            counts.append(row, row, row, f'{index:06}.png')
        counts.save(tmp_path / 'counts.npz')
        top = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        counts.close()
        return top

    peak(10)
    assert peak(2000) < 1.2 * peak(500)
    with np.load(tmp_path / 'counts.npz') as archive:
        assert archive['tp'].shape == (500, 21)
        assert archive['names'][499] == '000499.png'


def test_a_failed_save_leaves_nothing(tmp_path, monkeypatch):
    counts = ImageCounts(2)
    counts.append(*np.zeros((3, 2), int), 'é\n.png')
    counts.save(tmp_path / 'c.npz')
    with np.load(tmp_path / 'c.npz') as archive:
        assert archive['names'].tolist() == ['é\n.png']
    before = (tmp_path / 'c.npz').read_bytes()
    monkeypatch.setattr(counts, 'names', lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        counts.save(tmp_path / 'c.npz')
    assert [p.name for p in tmp_path.iterdir()] == ['c.npz']
    assert (tmp_path / 'c.npz').read_bytes() == before


@pytest.mark.parametrize(
    'changes, words',
    [
        (dict(tp=np.zeros((2, 2), int)), 'do not fit each other'),
        (dict(pred=np.zeros((3, 2))), 'do not fit each other'),
        (dict(groups=np.array(['a'])), 'do not fit each other'),
        (dict(label=np.array([None] * 3)), 'no counts of images .*allow_pickle'),
    ],
)
def test_counts_that_cannot_be_read_name_the_file(tmp_path, changes, words):
    counts = dict.fromkeys(('tp', 'pred', 'label'), np.ones((3, 2), int))
    np.savez(tmp_path / 'c.npz', names=np.array([*'abc']), **counts)
    names, rows, groups = read_counts(tmp_path / 'c.npz')
    assert names.tolist() == [*'abc'] and rows.shape == (3, 3, 2) and groups is None
    np.savez(tmp_path / 'c.npz', names=np.array([*'abc']), **{**counts, **changes})
    with pytest.raises(ValueError, match=rf'c\.npz: .*{words}.*: test the run again'):
        read_counts(tmp_path / 'c.npz')


@pytest.mark.gpu
def test_cuda_predictions():
    images = make_images()
    metric = build()
    for pred, label in images:
        sample = as_sample(pred, label)
        sample['pred_sem_seg']['data'] = sample['pred_sem_seg']['data'].cuda()
        metric.process(None, [sample])
    assert metric.evaluate(5) == run(build(), images)


def test_masks_of_images_that_share_a_name_are_kept_apart(tmp_path):
    paths = [str(tmp_path / case / 'image.png') for case in ('a', 'b')]
    dataset = [dict(img_path=path) for path in paths]
    metric = build(output_dir=str(tmp_path / 'out'), format_only=True)
    runner = SimpleNamespace(
        test_loop=SimpleNamespace(evaluator=SimpleNamespace(metrics=[metric])),
        test_dataloader=SimpleNamespace(dataset=_Listed(dataset)),
        hooks=[],
    )
    name_outputs(runner)
    for value, path in enumerate(paths):
        metric._save_prediction(dict(img_path=path), torch.full((2, 3), value))
    found = {str(p.relative_to(tmp_path / 'out')): int(np.asarray(Image.open(p))[0, 0])
             for p in (tmp_path / 'out').rglob('*.png')}  # fmt: skip
    assert found == {'a/image.png': 0, 'b/image.png': 1}


class _Listed(list):
    def get_data_info(self, index):
        return self[index]
