"""The page about rounds with people: its numbers by hand, what came back, what has moved."""

import json
import shutil
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.tools import load_tool
from support.user_folder import VALUES, write_folder

from mmseg_ext.apis.labels.people_round import PeopleRound, people_rounds
from mmseg_ext.apis.pages.people import write_people_report
from mmseg_ext.core.files import write_lines

NAMES = ('background', 'cat', 'dog')
START = ('0', '1', '2', '3')
CHOSEN = (('6', '4', '5'), ('7', '8'), ('9',))
BACK = (('ab12-6.png', 'pool/5.png'), ('8.png', '7.png'))  # of round 1 one is without a mask
LABELLED = (START, (*START, '5', '6'), (*START, '5', '6', '7', '8'))
SCORES = ((0.4, 0.3, 0.5), (0.5, 0.42, 0.58), (0.47, None, None))
IOU = ((0.6, 0.2, None), (0.65, 0.4, 0.1), (0.7, 0.3, 0.1))


def make_rounds(work, data):
    """Three rounds: two are over, and the third waits."""
    for index, labelled in enumerate(LABELLED):
        one = PeopleRound(index + 1, work / f'round{index + 1}')
        write_lines(one.file('labelled'), labelled)
        one.note(
            config='configs/net & co.py', dataset=str(data / 'mine.yml'), images=str(data / 'pool'),
            strategy=('entropy', 'entropy', 'random')[index], tool='cvat', options=['a=1'],
        )  # fmt: skip
        one.run.path.mkdir()
        value, low, high = SCORES[index]
        metrics = dict(mIoU=dict(value=value, low=low, high=high))
        content = dict(checkpoint='iter_9.pth', metrics=metrics)
        content['per_class'] = dict(IoU=dict(zip(NAMES, IOU[index])))
        one.run.results_file().write_text(json.dumps(content))
        write_lines(one.file('chosen'), CHOSEN[index])
        write_lines(one.file('handed_over'), ['label them'])
        if index < len(BACK):
            write_lines(one.file('returned'), BACK[index])
    return work


@pytest.fixture(scope='module')
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp('people')
    write_folder(folder / 'data', size=(40, 40), counts=(10, 2))
    shutil.copytree(folder / 'data/images/train', folder / 'data/pool')
    return make_rounds(folder / 'work', folder / 'data')


def parsed(page):
    """Parsed strictly: an unclosed tag or a bare ampersand fails here."""
    return ElementTree.fromstring(page.read_text(encoding='utf-8'))


@pytest.fixture(scope='module')
def tree(work):
    return parsed(write_people_report(work))


def texts(element, path):
    return [' '.join(' '.join(part.itertext()).split()) for part in element.iterfind(path)]


def part_of(tree, title):
    (found,) = [part for part in tree.iter('section') if part.findtext('h2') == title]
    return found


def rows_of(element):
    rows = [texts(row, '*') for row in element.findall('.//tbody/tr')]
    assert rows
    return rows


def test_scores_and_labels_of_each_round(tree):
    found = part_of(tree, 'Scores')
    assert rows_of(found) == [
        ['1', '4', '–', '40.0 30.0 to 50.0', '3', '2'],
        ['2', '6', '2', '50.0 42.0 to 58.0', '2', '2'],
        ['3', '8', '2', '47.0', '1', '–'],
    ]
    (figure,) = [i.get('alt') for i in found.iter('img')]
    assert figure == 'mIoU over labelled images: 40.0 of 4 images, 50.0 of 6 images, ' + (
        '47.0 of 8 images'
    )
    lead = texts(tree, './/header/p')
    assert lead == ['3 rounds tested; round 3 waits for the masks of 1 image']
    assert tree.findtext('head/title') == 'Labelling in rounds: net & co on mine'


def shares(data, names):
    """The classes in some masks with their share, largest first, from the files."""
    masks = [np.array(Image.open(data / f'masks/train/{name}.png')) for name in names]
    pixels = {n: sum(int((m == v).sum()) for m in masks) for n, v in zip(NAMES, VALUES)}
    total = sum(pixels.values())
    assert total == len(names) * 39 * 40  # row 0 is ignored
    ranked = sorted(pixels.items(), key=lambda item: -item[1])
    return ', '.join(f'{name} {100 * count / total:.0f} %' for name, count in ranked if count)


def test_what_each_round_changed_and_the_masks_that_were_new(tree, work):
    data = work.parent / 'data'
    tables = part_of(tree, 'What each round changed').findall('.//table')
    rows = [[cell.replace('\u00a0', ' ') for cell in row] for row in rows_of(tables[0])]
    assert rows == [
        ['1', '–', '–', '–', '–'],
        ['2', '+10.0', 'cat +20.0, background +5.0', '–', shares(data, '56')],
        ['3', '−3.0', 'background +5.0', 'cat −10.0', shares(data, '78')],
    ]
    assert rows_of(tables[1]) == [
        ['background', '60.0', '65.0 +5.0', '70.0 +5.0'],
        ['cat', '20.0', '40.0 +20.0', '30.0 −10.0'],
        ['dog', '–', '10.0', '10.0 +0.0'],
    ]


def test_what_was_chosen_is_shown_and_what_has_no_mask_is_said(tree):
    found = part_of(tree, 'What was chosen')
    assert texts(found, './/figcaption') == [
        'round 1: 3 images by entropy', 'round 2: 2 images by entropy',
        'round 3: 1 images by random']  # fmt: skip
    images = [image.get('alt') for image in found.iter('img')]
    assert images == [f'{name}, chosen in round {n + 1}' for n, part in enumerate(CHOSEN)
                      for name in part]  # fmt: skip
    assert texts(found, './/li') == [
        'round 1: 6, 4 (no mask), 5', 'round 2: 7, 8', 'round 3: 9'
    ]  # fmt: skip
    facts = ' '.join(part_of(tree, 'The rounds').itertext())
    assert '1: entropy, 2: entropy, 3: random' in facts and 'a=1' in facts


def test_rounds_that_have_begun_have_a_page(work, tmp_path):
    """The first round, before its test, and after it; an older version noted no data set."""
    begun = tmp_path / 'work'
    shutil.copytree(work / 'round1', begun / 'round1')
    one = begun / 'round1'
    kept = (one / 'run/results.json').read_text()
    for name in ('run/results.json', 'chosen.txt', 'handed_over.txt', 'returned.txt'):
        (one / name).unlink()
    tree = parsed(write_people_report(begun))
    assert rows_of(part_of(tree, 'Scores')) == [['1', '4', '–', '–', '–', '–']]
    assert texts(tree, './/header/p') == ['0 rounds tested']
    titles = [part.findtext('h2') for part in tree.iter('section')]
    assert titles == ['Scores', 'The rounds']
    (one / 'run/results.json').write_text(kept)
    (one / 'asked.json').unlink()
    write_lines(one / 'chosen.txt', CHOSEN[0])
    tree = parsed(write_people_report(begun))
    assert texts(tree, './/header/p') == ['1 round tested']
    missing = ' '.join(part_of(tree, 'What was chosen').itertext())
    assert 'no pictures: an older version made this round' in missing


def test_data_that_have_moved_are_said(work, tmp_path):
    moved = shutil.copytree(work, tmp_path / 'work')
    for path in [*moved.glob('*/asked.json'), *moved.glob('*/new_classes.json')]:
        gone = path.read_text().replace(str(work.parent / 'data'), '/nowhere')
        path.write_text(gone) if path.name == 'asked.json' else path.unlink()
    tree = parsed(write_people_report(moved))
    new = rows_of(part_of(tree, 'What each round changed'))[1][4]
    assert new.startswith('not known: ') and '/nowhere/mine.yml' in new
    assert rows_of(part_of(tree, 'Scores'))[1][3] == '50.0 42.0 to 58.0'


def test_the_tool_writes_it_and_other_folders_are_none(work, tmp_path, monkeypatch, capsys):
    tool, out = load_tool('report'), tmp_path / 'page.html'
    monkeypatch.setattr(sys, 'argv', ['report', str(work), '--out', str(out), '--title', 'Mine'])
    tool.main()
    assert parsed(out).findtext('head/title') == 'Mine'
    assert capsys.readouterr().out == f'report: {out}\n'
    monkeypatch.setattr(sys, 'argv', ['report', str(work), str(work / 'round1/run')])
    with pytest.raises(ValueError, match='work holds rounds of active learning: give it alone'):
        tool.main()
    assert [one.number for one in people_rounds(work)] == [1, 2, 3]
    simulated = shutil.copytree(work, tmp_path / 'entropy_seed0')
    (simulated / 'round1/data.yml').touch()
    assert people_rounds(simulated) == people_rounds(tmp_path) == []
    with pytest.raises(FileNotFoundError, match='holds no rounds with people'):
        write_people_report(tmp_path)
