"""Refining and searching saved probabilities: against DenseCRF called by hand; bad files."""

import json

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from mmseg_ext.apis.predict import crf, crf_picture
from mmseg_ext.apis.predict.output import write_prediction
from mmseg_ext.apis.predict.predictor import Prediction
from mmseg_ext.evaluation.confusion import confusion_matrix, metrics_from_confusion
from mmseg_ext.models.layers.dense_crf import SETTINGS, DenseCRF

TOOL = 'tools/crf.py'
META = dict(classes=['a', 'b', 'c'], palette=[[0, 0, 0], [200, 0, 0], [0, 200, 0]])
SETTING = dict(pos_w=1, pos_xy=1, bi_w=4, bi_xy=10, bi_rgb=20, iterations=3)


@pytest.fixture
def case(tmp_path):
    """Predictions of three images as tools/predict.py --prob leaves them, and their truth."""
    folder, truth, entries = tmp_path / 'pred', tmp_path / 'truth', []
    for index, name in enumerate(('a', 'sub/b', 'c')):
        g = torch.Generator().manual_seed(index)
        coarse = torch.randint(3, (1, 1, 4, 4), generator=g).float()
        label = F.interpolate(coarse, (24, 32))[0, 0].long()
        colors = torch.tensor([[20, 30, 40], [200, 60, 90], [90, 220, 10]])
        picture = (colors[label] + torch.randint(-9, 10, (24, 32, 3), generator=g)).byte().numpy()
        logits = 2 * F.one_hot(label, 3).permute(2, 0, 1) + 1.5 * torch.randn(
            3, 24, 32, generator=g
        )
        image = tmp_path / 'images' / f'{name}.png'
        for path in (image, truth / f'{name.split("/")[-1]}.png'):
            path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(image)
        mask = label.numpy().astype(np.uint8)
        mask[0] = 255
        Image.fromarray(mask).save(truth / f'{name.split("/")[-1]}.png')
        prob = logits.softmax(0).numpy().astype(np.float16)
        done = Prediction(image, picture, prob.argmax(0).astype(np.uint8), prob)
        entries.append(write_prediction(done, folder, name, meta=META))
    (folder / 'predictions.json').write_text(json.dumps(dict(META, images=entries)))
    return folder, truth


def _by_hand(folder, truth, name, setting):
    """Refined probabilities and the counts before and after."""
    prob = np.load(folder / 'prob' / f'{name}.npz')['prob'].astype(np.float32)
    picture = np.array(Image.open(folder.parent / 'images' / f'{name}.png'))
    image = torch.from_numpy(picture).permute(2, 0, 1)[None]
    refined = DenseCRF(**setting)(torch.from_numpy(prob)[None], image)[0].numpy()
    label = np.array(Image.open(truth / f'{name.split("/")[-1]}.png'))
    return refined, [confusion_matrix(p.argmax(0), label, 3) for p in (prob, refined)]


def test_refined_masks_and_scores_are_those_by_hand(case, tmp_path):
    folder, truth = case
    out = tmp_path / 'out'
    scores, failures = crf.refine_folder(folder, out, setting=SETTING, truth=truth, keep_prob=True)
    assert failures == []
    total = 0
    for name in ('a', 'sub/b', 'c'):
        refined, counts = _by_hand(folder, truth, name, SETTING)
        mask = np.array(Image.open(out / 'masks' / f'{name}.png'))
        np.testing.assert_array_equal(mask, refined.argmax(0))
        written = np.load(out / 'prob' / f'{name}.npz')['prob']
        np.testing.assert_allclose(written, refined, atol=1e-3)
        total += np.stack(counts)
    for when, matrix in zip(('before', 'after'), total):
        assert scores[when]['mIoU'] == metrics_from_confusion(matrix)['mIoU']
    assert scores['after']['mIoU'] > scores['before']['mIoU']
    listing = json.loads((out / 'predictions.json').read_text())
    assert [entry['mask'] for entry in listing['images']] == [
        'masks/a.png', 'masks/sub/b.png', 'masks/c.png'
    ]  # fmt: skip
    assert listing['crf'] == SETTING and listing['classes'] == META['classes']


def test_search_finds_the_best_and_checks_it_on_the_rest(case):
    folder, truth = case
    report, failures = crf.search(
        folder, grid=dict(bi_w=[0, 4], iterations=[1, 3]), base=SETTING, truth=truth, images=2
    )
    assert failures == [] and len(report['table']) == 4
    scores = [row['mIoU'] for row in report['table']]
    assert (
        scores == sorted(scores, reverse=True) and report['best'] == report['table'][0]['setting']
    )
    assert report['best'] == {**SETTING, 'bi_w': 4, 'iterations': 3}
    assert report['chosen_on']['images'] == 2 and report['held_out']['images'] == 1
    # the two parts are disjoint: the one that was held out is one image's own score
    alone = [
        metrics_from_confusion(_by_hand(folder, truth, name, report['best'])[1][1])['mIoU']
        for name in ('a', 'sub/b', 'c')
    ]
    assert report['held_out']['after'] in alone
    report, _ = crf.search(folder, grid=dict(bi_w=[4]), base=SETTING, truth=truth, images=9)
    assert report['held_out'] is None and report['chosen_on']['images'] == 3


def test_a_bad_file_is_named_and_the_others_go_on(case, tmp_path):
    folder, truth = case
    (folder / 'prob' / 'c.npz').write_bytes(b'nothing')
    Image.new('RGB', (5, 6)).save(tmp_path / 'images' / 'a.png')
    scores, failures = crf.refine_folder(folder, tmp_path / 'out', setting=SETTING, truth=truth)
    reasons = ' | '.join(sorted(failure.reason for failure in failures))
    assert 'c.npz holds no probabilities' in reasons
    assert 'a.png: the probabilities (1, 3, 24, 32) and the image (1, 3, 6, 5) disagree' in reasons
    listing = json.loads((tmp_path / 'out' / 'predictions.json').read_text())
    assert [entry['mask'] for entry in listing['images']] == ['masks/sub/b.png']
    for path in (folder / 'prob').rglob('*.npz'):
        path.write_bytes(b'')
    with pytest.raises(ValueError, match='no image could be scored'):
        crf.search(folder, grid=dict(bi_w=[1]), base=SETTING, truth=truth)


def test_an_image_that_is_gone_is_named_with_where_it_was_listed(case, tmp_path):
    folder, _ = case
    (tmp_path / 'images/c.png').rename(tmp_path / 'elsewhere.png')
    _, failures = crf.refine_folder(folder, tmp_path / 'out', setting=SETTING)
    (failure,) = failures
    assert failure.path == tmp_path / 'images/c.png'
    assert f'{tmp_path}/images/c.png, the image of ' in failure.reason
    assert 'does not exist: put it back, or correct its path in predictions.json' in failure.reason


def test_two_images_of_one_name_do_not_share_a_label_map(case):
    folder, truth = case
    listing = json.loads((folder / 'predictions.json').read_text())
    twin = dict(listing['images'][1], image='other/b.png', prob='prob/other/b.npz')
    listing['images'].append(twin)
    (folder / 'predictions.json').write_text(json.dumps(listing))
    with pytest.raises(
        ValueError, match=r'b.png would be the label map of .*sub/b.png and of other'
    ):
        crf.read_listing(folder, truth)
    (truth / 'sub').mkdir()
    (truth / 'b.png').rename(truth / 'sub/b.png')
    with pytest.raises(FileNotFoundError, match='no label map other/b.png'):
        crf.read_listing(folder, truth)
    (truth / 'other').mkdir()
    (truth / 'other/b.png').write_bytes((truth / 'sub/b.png').read_bytes())
    found = [
        item.truth.relative_to(truth).as_posix() for item in crf.read_listing(folder, truth)[1]
    ]
    assert found == ['a.png', 'sub/b.png', 'c.png', 'other/b.png']


def test_what_cannot_be_started_is_refused(case, tmp_path):
    folder, truth = case
    with pytest.raises(FileNotFoundError, match=r'predictions.json does not exist'):
        crf.read_listing(tmp_path)
    with pytest.raises(FileNotFoundError, match='no label map a.png in'):
        crf.read_listing(folder, tmp_path)
    with pytest.raises(ValueError, match='choose another'):
        crf.refine_folder(folder, folder, setting=SETTING)
    with pytest.raises(ValueError, match='bi_w must be 0 or more'):
        crf.refine_folder(folder, tmp_path / 'out', setting=dict(bi_w=-1))
    with pytest.raises(ValueError, match="no setting of the CRF 'bi_xyz': did you mean bi_xy"):
        crf.refine_folder(folder, tmp_path / 'out', setting=dict(SETTING, bi_xyz=3))
    with pytest.raises(ValueError, match="no setting of the CRF 'prun': did you mean prune"):
        crf.settings_of(dict(bi_w=[1]), dict(SETTING, prun=0))
    with pytest.raises(ValueError, match='workers must be at least 1'):
        crf.refine_folder(folder, tmp_path / 'out', setting=SETTING, workers=0)
    with pytest.raises(ValueError, match='cannot search width: choose from pos_w'):
        crf.settings_of(dict(width=[1]), SETTING)
    with pytest.raises(ValueError, match='cannot search nothing'):
        crf.settings_of({}, SETTING)
    with pytest.raises(ValueError, match='images must be at least 1'):
        crf.search(folder, grid=dict(bi_w=[1]), base=SETTING, truth=truth, images=0)
    listing = json.loads((folder / 'predictions.json').read_text())
    listing['images'][0].pop('prob')
    (folder / 'predictions.json').write_text(json.dumps(listing))
    with pytest.raises(ValueError, match='run tools/predict.py with --prob'):
        crf.read_listing(folder)


def test_the_picture_shows_before_after_and_truth(case, tmp_path):
    folder, truth = case
    crf.refine_folder(folder, tmp_path / 'out', setting=SETTING, truth=truth)
    drawn = crf_picture.draw(folder, tmp_path / 'out', truth=truth, names=['c'], cell=32)
    assert drawn.shape == (24, 4 * 32 + 3 * 4, 3)
    cells = [drawn[:, 36 * i : 36 * i + 32] for i in range(4)]
    np.testing.assert_array_equal(cells[0], np.array(Image.open(tmp_path / 'images/c.png')))
    palette = np.array(META['palette'], np.uint8)
    for shown, mask in zip(cells[1:3], (folder, tmp_path / 'out')):
        np.testing.assert_array_equal(shown, palette[np.array(Image.open(mask / 'masks/c.png'))])
    labels = np.array(Image.open(truth / 'c.png'))
    np.testing.assert_array_equal(cells[3][1:], palette[labels[1:]])
    assert (cells[3][0] == cells[3][0, 0]).all() and not (cells[1] == cells[2]).all()
    rows = crf_picture.draw(folder, tmp_path / 'out', rows=2, cell=32)
    assert rows.shape == (2 * 24 + 4, 3 * 32 + 2 * 4, 3)
    with pytest.raises(ValueError, match='no prediction is named x; there is a'):
        crf_picture.draw(folder, tmp_path / 'out', names=['x'])


def test_tool_refines_in_parallel_and_searches(case, tmp_path, python_tool):
    folder, truth = case
    out = tmp_path / 'out'
    options = ['--options', 'bi_xy=10', 'bi_rgb=20', '--truth', truth, '--out', out]
    drawn = tmp_path / 'drawn.jpg'
    done = python_tool(TOOL, folder, *options, '--setting', 'camvid', '--workers', 2,
                       '--picture', drawn, '--names', 'sub/b',
                       env={'MMSEG_EXT_PROGRESS': '1'})  # fmt: skip
    assert Image.open(drawn).size == (4 * 220 + 3 * 4, 165)
    assert 'before mIoU' in done.stdout and 'after  mIoU' in done.stdout
    assert '3/3' in done.stderr  # the line of progress
    setting = {**SETTINGS['camvid'], 'bi_xy': 10, 'bi_rgb': 20}
    for name in ('a', 'sub/b', 'c'):
        refined, _ = _by_hand(folder, truth, name, setting)
        mask = np.array(Image.open(out / 'masks' / f'{name}.png'))
        np.testing.assert_array_equal(mask, refined.argmax(0))
    done = python_tool(TOOL, folder, *options, '--search', 'bi_w=0,4.5', '--images', 2)
    assert 'held out (1 images): mIoU' in done.stdout
    assert json.loads((out / 'search.json').read_text())['best']['bi_w'] == 4.5
    words = ['--options', 'normalization=after', 'iterations=1', '--truth', truth]
    done = python_tool(TOOL, folder, '--out', out, *words, '--search', 'bi_w=4')
    assert 'normalization=after' in done.stdout
    for option, message in (
        ('bi_xyz=3', "error: no setting of the CRF 'bi_xyz': did you mean bi_xy"),
        ('prune=abc', "error: prune must be a number, got 'abc'"),
    ):
        done = python_tool(TOOL, folder, '--out', out, '--options', option, check=False)
        assert done.returncode == 1 and message in done.stderr
        assert 'Traceback' not in done.stderr
    done = python_tool(TOOL, folder, '--out', out, '--search', 'bi_w=4', check=False)
    assert done.returncode == 1 and '--search needs --truth' in done.stderr
    assert 'Traceback' not in done.stderr
