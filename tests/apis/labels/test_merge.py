"""Masks that come back into a data set: added, kept beside others, refused; the commands."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from support.tools import load_tool
from support.user_folder import VALUES, write_folder

from mmseg_ext.apis.labels.exchange import Finished, LabelNames, Predicted
from mmseg_ext.apis.labels.label_studio import make_task, write_tasks
from mmseg_ext.apis.labels.merge import merge_masks
from mmseg_ext.apis.labels.project import export_project, find_unlabelled, read_finished
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core.masks import read_mask

SIZE = (40, 60)


@pytest.fixture
def folder(tmp_path):
    """Six training images, of which 4 and 5 have no mask; a list names the others."""
    write_folder(tmp_path, size=SIZE)
    for index in (4, 5):
        (tmp_path / f'masks/train/{index}.png').unlink()
    (tmp_path / 'train.txt').write_text('0\n1\n2\n3')  # without a newline at its end
    text = (tmp_path / 'mine.yml').read_text()
    (tmp_path / 'mine.yml').write_text(
        text.replace('masks: masks/train}', 'masks: masks/train, list: train.txt}')
    )
    return tmp_path


def label(seed=0, size=SIZE):
    ids = np.random.default_rng(seed).integers(0, 4, size)
    return np.array([0, 1, 2, 255], np.uint8)[ids]


def snapshot(folder):
    return {p: p.read_bytes() for p in sorted(folder.rglob('*')) if p.is_file()}


def test_masks_are_added_with_the_values_of_the_data_set(folder):
    data = read_data_file(folder / 'mine.yml')
    merged = merge_masks(data, [Finished('up/1-4.png', label(4)), Finished('5', label(5))])
    assert (merged.added, merged.listed) == (['4', '5'], ['4', '5'])
    for stem in (4, 5):
        mask = read_mask(str(folder / f'masks/train/{stem}.png'))
        assert np.array_equal(mask, VALUES[np.minimum(label(stem), 3)])
    assert (folder / 'train.txt').read_text() == '0\n1\n2\n3\n4\n5\n'
    before = snapshot(folder)
    again = merge_masks(data, [Finished('4', label(4)), Finished('5', label(5))])
    assert (again.added, again.same, again.listed, again.kept) == ([], ['4', '5'], [], [])
    assert snapshot(folder) == before


def test_a_mask_that_differs_stays_and_the_new_one_lies_beside(folder):
    data = read_data_file(folder / 'mine.yml')
    old = folder / 'masks/train/2.png'
    before = old.read_bytes()
    for seed, name in [(1, '2.png'), (1, '2.png'), (2, '2-2.png'), (1, '2.png')]:
        merged = merge_masks(data, [Finished('2', label(seed))])
        new = folder / 'masks/train_imported' / name
        assert merged.kept == [(old, new)] and merged.added == []
        assert 'kept both' in '\n'.join(merged.lines()) and name in merged.lines()[-1]
        assert np.array_equal(read_mask(str(new)), VALUES[np.minimum(label(seed), 3)])
    assert old.read_bytes() == before
    assert len(list(new.parent.iterdir())) == 2


def test_values_of_one_class_count_as_the_same(tmp_path):
    write_folder(tmp_path, size=SIZE)
    text = (tmp_path / 'mine.yml').read_text().replace('value: 7,', 'value: [7, 8],')
    (tmp_path / 'mine.yml').write_text(text)
    data = read_data_file(tmp_path / 'mine.yml')
    old = tmp_path / 'masks/train/0.png'
    mask = read_mask(str(old))
    Image.fromarray(np.where(mask == 7, 8, mask).astype(np.uint8)).save(old)
    ids = np.zeros(SIZE, np.uint8)
    for value, index in ((7, 1), (9, 2), (255, 255)):
        ids[mask == value] = index
    assert merge_masks(data, [Finished('0', ids)]).same == ['0']
    ids[-1, -1] = (ids[-1, -1] + 1) % 3
    assert len(merge_masks(data, [Finished('0', ids)]).kept) == 1


def test_images_from_elsewhere_are_copied(folder):
    (folder / 'new/deep').mkdir(parents=True)
    image = folder / 'new/deep/p.PNG'
    Image.fromarray(np.random.default_rng(0).integers(0, 99, (*SIZE, 3)).astype(np.uint8)).save(
        image
    )
    data = read_data_file(folder / 'mine.yml')
    merged = merge_masks(data, [Finished('deep/p', label())], images=[folder / 'new'])
    assert merged.copied == [folder / 'images/train/deep/p.PNG']
    assert merged.copied[0].read_bytes() == image.read_bytes()
    assert (folder / 'masks/train/deep/p.png').is_file()
    assert (folder / 'train.txt').read_text().endswith('3\ndeep/p\n')


def test_colors_are_written_as_colors(folder):
    text = (folder / 'mine.yml').read_text().replace('ignore_value: 255', 'ignore_value: [9, 9, 9]')
    text = text.replace('root: .', 'root: .\nmasks: colors')
    for name, color in (('background', '[0, 0, 0]'), ('dog', '[0, 255, 0]')):
        text = text.replace(f'name: {name},', f'name: {name}, color: {color},')
    (folder / 'mine.yml').write_text(text)
    data = read_data_file(folder / 'mine.yml')
    assert merge_masks(data, [Finished('4', label())]).added == ['4']
    colors = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0], [9, 9, 9]], np.uint8)
    mask = read_mask(str(folder / 'masks/train/4.png'), colors=True)
    assert np.array_equal(mask, colors[np.minimum(label(), 3)])
    assert merge_masks(data, [Finished('4', label())]).same == ['4']


@pytest.mark.parametrize(
    ('finished', 'images', 'text'),
    [
        ([('4', SIZE), ('9', SIZE)], [], r'9: no image of this name.*--images'),
        ([('4', SIZE), ('5', (60, 40))], [], 'the mask of 5: the mask is 40x60 .*60x40'),
        ([('4', SIZE), ('up/4.png', SIZE)], [], '4 and up/4.png are both masks'),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, finished, images, text):
    before = snapshot(folder)
    data = read_data_file(folder / 'mine.yml')
    done = [Finished(name, label(size=size)) for name, size in finished]
    with pytest.raises((ValueError, FileNotFoundError), match=text):
        merge_masks(data, done, images=[folder / name for name in images])
    assert snapshot(folder) == before


def test_ignored_pixels_need_a_value(folder):
    text = (folder / 'mine.yml').read_text().replace('ignore_value: 255', '')
    (folder / 'mine.yml').write_text(text)
    with pytest.raises(ValueError, match='5: pixels are to be ignored.*add ignore_value'):
        merge_masks(read_data_file(folder / 'mine.yml'), [Finished('5', label())])


@pytest.mark.parametrize('kind', ['label-studio', 'cvat'])
def test_what_is_exported_comes_back_the_same(folder, kind):
    data = read_data_file(folder / 'mine.yml')
    images = find_unlabelled(data)
    assert images.names == ('4.png', '5.png')
    predicted = [Predicted(name, SIZE, label(int(name[0]))) for name in images.names]
    lines = export_project(data, images, predicted, folder / 'out', kind=kind, root=folder)
    assert lines[0].startswith('2 ')
    if kind == 'label-studio':
        path = folder / 'out/tasks.json'
        tasks = json.loads(path.read_text())
        assert tasks[0]['data']['image'] == '/data/local-files/?d=images/train/4.png'
        for task in tasks:
            task['annotations'] = task.pop('predictions')
        path.write_text(json.dumps(tasks))
    else:
        path = folder / 'out/annotations.xml'
    merge_masks(data, read_finished(path, data).finished)
    for stem in (4, 5):
        mask = read_mask(str(folder / f'masks/train/{stem}.png'))
        assert np.array_equal(mask, VALUES[np.minimum(label(stem), 3)])


def test_what_waits_for_labels(folder, tmp_path):
    data = read_data_file(folder / 'mine.yml')
    (folder / 'chosen.txt').write_text('5\n0\n')
    assert find_unlabelled(data, listed=folder / 'chosen.txt').names == ('5.png',)
    (folder / 'chosen.txt').write_text('5\n77\n')
    with pytest.raises(FileNotFoundError, match=r'chosen.txt names 1 images \(such as 77\)'):
        find_unlabelled(data, listed=folder / 'chosen.txt')
    (folder / 'chosen.txt').write_text('0\n')
    with pytest.raises(ValueError, match='no image waits for labels'):
        find_unlabelled(data, listed=folder / 'chosen.txt')
    with pytest.raises(FileNotFoundError, match='no such folder'):
        find_unlabelled(data, folder=folder / 'none')
    for root in (folder / 'masks', folder / 'images/train'):
        with pytest.raises(ValueError, match='no folder below .*: give another --root'):
            export_project(data, find_unlabelled(data), [], folder / 'out', root=root)


def test_label_studio_serves_the_folder_above_that_of_the_images(folder):
    data = read_data_file(folder / 'mine.yml')
    images = find_unlabelled(data)
    predicted = [Predicted(name, SIZE, label(int(name[0]))) for name in images.names]
    lines = ' '.join(export_project(data, images, predicted, folder / 'out'))
    assert f'DOCUMENT_ROOT={folder.resolve() / "images"} ' in lines
    assert f'local files of {folder.resolve() / "images/train"} as source storage' in lines
    tasks = json.loads((folder / 'out/tasks.json').read_text())
    assert [task['data']['image'] for task in tasks] == [
        f'/data/local-files/?d=train/{name}' for name in images.names
    ]


def run_tool(monkeypatch, *words):
    monkeypatch.setattr(sys, 'argv', ['label.py', *map(str, words)])
    return load_tool('label').main()


def test_the_commands(folder, monkeypatch, capsys):
    file = folder / 'mine.yml'
    assert run_tool(monkeypatch, 'export', file, '--out', folder / 'out', '--root', folder) == 0
    assert '2 tasks' in capsys.readouterr().out
    tasks = json.loads((folder / 'out/tasks.json').read_text())
    assert [task['data']['name'] for task in tasks] == ['4.png', '5.png']
    names = LabelNames.of(read_data_file(file))
    done = make_task(Predicted('4.png', SIZE, label(4)), names)
    write_tasks(folder / 'done.json', [dict(done, annotations=done['predictions']), tasks[1]])
    run_tool(monkeypatch, 'import', file, folder / 'done.json')
    out = capsys.readouterr().out
    assert '1 masks added, 0 were there already' in out
    assert '1 images have no labels yet (such as 5.png)' in out
    assert 'train' in out and 'cat' in out  # of the check
    write_tasks(folder / 'none.json', [tasks[1]])
    with pytest.raises(ValueError, match='nothing is painted in its 1 images'):
        run_tool(monkeypatch, 'import', file, folder / 'none.json')
    with pytest.raises(FileNotFoundError, match='absent.json: no such file'):
        run_tool(monkeypatch, 'import', file, folder / 'absent.json')
    with pytest.raises(SystemExit):
        run_tool(monkeypatch, 'export', file, '--config', 'a.py')
