"""The page about active learning: numbers by hand, choices from masks, odd names, a browser."""

import base64
import io
import json
import shutil
import sys
from dataclasses import asdict, replace
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.tools import load_tool
from support.user_folder import VALUES, write_folder

from mmseg_ext.apis.labels.contents import chosen_pixels
from mmseg_ext.apis.labels.plan import Plan
from mmseg_ext.apis.labels.rounds import rounds_of
from mmseg_ext.apis.labels.subset import Pool, write_subset
from mmseg_ext.apis.labels.summary import summarise
from mmseg_ext.apis.pages import active_changes, active_choices, active_sections
from mmseg_ext.apis.pages.active import write_active_report
from mmseg_ext.apis.pages.active_data import ActiveData
from mmseg_ext.apis.userdata.read import read_data_file
from mmseg_ext.core.files import write_lines

CAT = "cat & <b>'s"
ODD = "3 <i>&'"  # a file name
# mIoU after each round: the start of a seed, then those of each strategy
START = {0: 0.2, 1: 0.3}
SCORES = {('entropy', 0): (0.4, 0.5), ('entropy', 1): (0.44, 0.6), ('random', 0): (0.3, 0.4),
          ('random', 1): (0.36, None)}  # fmt: skip  # the last one is not finished
# IoU of background, cat and dog; other rounds have none
IOU = {
    ('start', 0, 0): (0.5, 0.1, 0.0), ('start', 1, 0): (0.7, 0.2, None),
    ('entropy', 0, 1): (0.6, 0.4, 0.05), ('entropy', 1, 1): (0.64, 0.4, 0.3),
    ('entropy', 0, 2): (0.61, 0.3, 0.05),
}  # fmt: skip
CHOSEN = {0: (ODD, '1'), 1: ('7', '5'), 2: ('2', '9')}  # by round, for every strategy


def make_data(folder):
    """Ten images of 40x40, one of them and a class with an odd name."""
    write_folder(folder, size=(40, 40), counts=(10, 2))
    for kind in ('images', 'masks'):
        (folder / f'{kind}/train/3.png').rename(folder / f'{kind}/train/{ODD}.png')
    file = folder / 'mine.yml'
    file.write_text(file.read_text().replace('name: cat', f'name: {json.dumps(CAT)}'))
    return file


def make_round(plan, pool, one, score):
    """A round's lists, its data set file, and the results of its test."""
    chosen = [name for number in range(one.number + 1) for name in CHOSEN[number]]
    pool_names = [name for name in pool.names() if name not in chosen]
    write_lines(one.folder / 'chosen.txt', CHOSEN[one.number])
    write_lines(one.folder / 'labelled.txt', chosen)
    write_lines(one.folder / 'pool.txt', pool_names)
    write_subset(pool, chosen, one.folder)
    if score is None:
        return
    iou = IOU.get((one.strategy, one.seed, one.number))
    content = dict(checkpoint='iter_9.pth', metrics=dict(mIoU=dict(value=score)))
    if iou:
        content['per_class'] = dict(IoU=dict(zip(('background', CAT, 'dog'), iou)))
    one.run.path.mkdir()
    one.run.results_file().write_text(json.dumps(content))


def make_rounds(folder, file, **settings):
    plan = Plan('configs/net.py', str(file), ('entropy', 'random'), (0, 1), rounds=3, budget='20%',
                **settings)  # fmt: skip
    pool = Pool.of(read_data_file(file), plan.regions, plan.size)
    folder.mkdir()
    (folder / 'active_plan.json').write_text(json.dumps(asdict(plan)))
    for (strategy, seed), scores in SCORES.items():
        for one, score in zip(rounds_of(plan, strategy, seed, folder), (START[seed], *scores)):
            if not one.data_file.exists():
                make_round(plan, pool, one, score)
    return plan


@pytest.fixture(scope='module')
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp('active')
    file = make_data(folder / 'data')
    plan = make_rounds(folder / 'work', file)
    return plan, folder / 'work'


@pytest.fixture
def data(made):
    plan, work = made
    return ActiveData(plan, work, summarise(plan, work))


@pytest.fixture(scope='module')
def html(made):
    return write_active_report(made[1])


@pytest.fixture(scope='module')
def tree(html):
    """Parsed strictly: an unclosed tag or a bare ampersand fails here."""
    return ElementTree.fromstring(html.read_text(encoding='utf-8'))


def section_of(tree, title):
    (found,) = [part for part in tree.iter('section') if part.findtext('h2') == title]
    return found


def texts(element, path):
    found = [' '.join(part.itertext()).replace('\u00a0', ' ').split()
             for part in element.iterfind(path)]  # fmt: skip
    return [' '.join(words) for words in found]


def rows_of(element):
    rows = [texts(row, '*') for row in element.findall('.//tbody/tr')]
    assert rows
    return rows


def approximately(points):
    return [pytest.approx(point) for point in points]


# --- scores ---------------------------------------------------------------------------------------


def test_the_curve_has_every_seed_and_the_mean_of_rounds_that_all_have(data, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        active_sections, 'draw_budget',
        lambda seeds, means, **labels: drawn.append((seeds, means, labels)) or b'<svg/>',
    )  # fmt: skip
    active_sections.budget(data)
    ((seeds, means, labels),) = drawn
    assert labels == dict(xlabel='labelled share of the images in %', ylabel='mIoU in %')
    assert [*seeds] == [*means] == [0, 1]
    assert seeds[0][0] == approximately([(20, 20), (40, 40), (60, 50)])
    assert seeds[0][1] == approximately([(20, 30), (40, 44), (60, 60)])
    assert seeds[1][1] == approximately([(20, 30), (40, 36)])
    assert means[0] == approximately([(20, 25), (40, 42), (60, 55)])
    assert means[1] == approximately([(20, 25), (40, 33)])  # the last round only one seed has


def test_numbers_of_curves_areas_and_tests(tree):
    # sd of two numbers: their difference over the root of 2
    assert rows_of(section_of(tree, 'Budget curve')) == [
        ['A entropy', '25.0 ± 7.1 (n = 2)', '42.0 ± 2.8 (n = 2)', '55.0 ± 7.1 (n = 2)'],
        ['B random', '25.0 ± 7.1 (n = 2)', '33.0 ± 4.2 (n = 2)', '–'],
    ]
    head = texts(section_of(tree, 'Budget curve'), './/thead/tr/th')
    assert head == ['mIoU, %, of labelled images:', '2 (20 %)', '4 (40 %)', '6 (60 %)']
    # trapezoids over equal steps: (first + last) / 4 + middle / 2
    assert rows_of(section_of(tree, 'Area under the curve')) == [
        ['A entropy', '41.00 ± 4.95', '0: 37.50, 1: 44.50'],
        ['B random', '30.00', '0: 30.00'],
    ]
    found = section_of(tree, 'Pairwise tests')
    assert rows_of(found) == [['entropy − random', '+7.50', '1.00', '1.00', '1']]
    assert texts(found, 'p')[0].startswith(
        'One seed shows no difference at 5 %, however large it is'
    )
    assert texts(tree, './/header/p') == ['9 of 10 rounds are finished']


def test_many_pairs_are_folded_away(data):
    names = [f's{index}' for index in range(12)]
    test = dict(second='b', difference=0.01, p=0.5, p_holm=1.0, seeds=[0, 1])
    for number, kind in ((10, 'table'), (11, 'fold')):
        summary = dict(data.summary, tests=[dict(test, first=name) for name in names[:number]])
        made = active_sections.tests(replace(data, summary=summary))
        assert made.blocks[1].kind == kind
    assert made.blocks[1].summary == 'All 11 pairs' and len(made.blocks[1].blocks[0].lines) == 11
    alone = active_sections.tests(replace(data, summary=dict(summary, tests=[], verdict='one')))
    assert [block.text for block in alone.blocks] == ['One.']


# --- what a round changed -------------------------------------------------------------------------


def test_changes_of_classes_are_means_over_seeds(data):
    assert active_changes.difference(data, 'entropy', 1) == pytest.approx((0.2 + 0.14) / 2)
    assert active_changes.difference(data, 'random', 2) == pytest.approx(0.1)  # of one seed
    assert active_changes.difference(data, 'entropy', 0) is None
    found = active_changes.class_differences(data, 'entropy', 1)
    # dog is undefined in the start of seed 1
    expected = {'background': (0.1 - 0.06) / 2, CAT: (0.3 + 0.2) / 2, 'dog': 0.05}
    assert found == pytest.approx(expected)
    assert active_changes.class_differences(data, 'entropy', 2) == pytest.approx(
        {'background': 0.01, CAT: -0.1, 'dog': 0.0}
    )


def counted(file, names):
    """Pixels of the three classes in some masks, from the files."""
    masks = [np.array(Image.open(file.parent / f'masks/train/{name}.png')) for name in names]
    return [sum(int((mask == value).sum()) for mask in masks) for value in VALUES[:3]]


def test_the_page_says_what_each_round_changed_and_what_was_chosen(made, tree):
    found = section_of(tree, 'What each round changed')
    rows = rows_of(found.findall('.//table')[0])
    file = made[1].parent / 'data/mine.yml'
    shares = []
    for number in range(3):
        pixels = dict(zip(('background', CAT, 'dog'), counted(file, CHOSEN[number])))
        ranked = sorted(pixels.items(), key=lambda item: -item[1])
        total = sum(pixels.values())
        assert total == 2 * 39 * 40  # row 0 is ignored
        shares.append(', '.join(f'{name} {100 * n / total:.0f} %' for name, n in ranked if n))
    assert [row[:4] for row in rows] == [
        ['0', '–', '–', '–'],
        ['1', '+17.0', f'{CAT} +25.0, dog +5.0, background +2.0', '–'],
        ['2', '+13.0', 'background +1.0', f'{CAT} −10.0'],
    ]
    assert [row[4] for row in rows] == shares
    classes = rows_of(found.findall('.//details/details')[0])
    assert classes == [
        ['background', '60.0', '62.0 +2.0', '61.0 +1.0'],
        [CAT, '15.0', '40.0 +25.0', '30.0 −10.0'],
        ['dog', '0.0', '17.5 +5.0', '5.0 +0.0'],
    ]


def test_classes_of_a_choice_are_counted_once(made):
    plan, work = made
    one = rounds_of(plan, 'random', 0, work)[1]
    kept = one.folder / 'chosen_classes.json'
    kept.unlink(missing_ok=True)
    expected = counted(work.parent / 'data/mine.yml', CHOSEN[1])
    assert chosen_pixels(plan, one) == dict(zip(('background', CAT, 'dog'), expected))
    kept.write_text('{"dog": 5}')
    assert chosen_pixels(plan, one) == {'dog': 5}
    kept.unlink()


# --- what was chosen ------------------------------------------------------------------------------


def test_thumbnails_and_names_of_each_round(tree):
    found = section_of(tree, 'What was chosen')
    entropy, random = found.findall('details')
    assert texts(entropy, 'summary') == ['A entropy (seed 0)']
    captions = texts(entropy, './/figcaption')
    assert captions == [f'round {number}: 2 images' for number in range(3)]
    assert texts(entropy, './/p[@class="what"]') == [ODD, *'17529']
    assert [image.get('alt') for image in entropy.iter('img')][:2] == [
        f'{ODD}, chosen in round 0 by start', '1, chosen in round 0 by start']  # fmt: skip
    assert texts(random, 'details/ul/li') == [
        f'seed 0, round 0: {ODD}, 1', 'seed 0, round 1: 7, 5', 'seed 0, round 2: 2, 9',
        f'seed 1, round 0: {ODD}, 1', 'seed 1, round 1: 7, 5']  # fmt: skip


def test_of_many_images_some_are_shown(data, monkeypatch):
    monkeypatch.setattr(active_choices, 'THUMBNAILS', 1)
    folds = active_choices.choices(data).blocks[1:]
    examples = folds[0].blocks[0].examples
    assert [len(example.pairs) for example in examples] == [1, 1, 1]
    assert examples[0].caption == 'round 0: 2 images'


def test_regions_that_were_not_chosen_are_pale(tmp_path, monkeypatch):
    """Windows of 20 pixels: four an image; of one image two are chosen, of another one."""
    file = make_data(tmp_path / 'data')
    monkeypatch.setitem(CHOSEN, 0, ('5#1', '5#2', '6#3'))
    monkeypatch.setitem(CHOSEN, 1, ('5#0',))
    monkeypatch.setitem(CHOSEN, 2, ('6#0',))
    plan = make_rounds(tmp_path / 'work', file, regions='windows', size=20)
    first, second, _ = rounds_of(plan, 'entropy', 0, tmp_path / 'work')
    masks = {n: np.array(Image.open(file.parent / f'masks/train/{n}.png')) for n in (5, 6)}
    parts = np.stack([masks[5][:20, 20:], masks[5][20:, :20], masks[6][20:, 20:]])
    names = ('background', CAT, 'dog')
    expected = {name: int((parts == value).sum()) for name, value in zip(names, VALUES)}
    assert chosen_pixels(plan, first) == expected and sum(expected.values()) == 3 * 400 - 20
    expected = [int((masks[5][:20, :20] == value).sum()) for value in VALUES[:3]]
    assert chosen_pixels(plan, second) == dict(zip(names, expected))

    page = ElementTree.fromstring(write_active_report(tmp_path / 'work').read_text())
    found = section_of(page, 'What was chosen')
    assert texts(found, './/figcaption')[0] == 'round 0: 3 regions of 2 images'
    source = next(found.iter('img')).get('src').partition(',')[2]
    shown = np.array(Image.open(io.BytesIO(base64.b64decode(source)))).astype(float)
    image = np.array(Image.open(file.parent / 'images/train/5.png')).astype(float)
    windows = {number: np.s_[20 * (number // 2) :, 20 * (number % 2) :] for number in range(4)}
    for number, at in windows.items():
        mean = image[at][:20, :20].mean()
        mean = mean if number in (1, 2) else 0.25 * mean + 0.75 * 255
        assert shown[at][:20, :20].mean() == pytest.approx(mean, abs=3)


# --- the page -------------------------------------------------------------------------------------


def test_names_are_text_and_nothing_is_fetched(html, tree):
    page = html.read_text(encoding='utf-8')
    assert '<b>' not in page and '<i>' not in page and page.count('<script') == 1
    assert CAT in ''.join(tree.itertext()) and ODD in ''.join(tree.itertext())
    sources = [image.get('src') for image in tree.iter('img')]
    assert len(sources) == 1 + 2 * 6
    assert all(source.startswith('data:image/') for source in sources)
    assert html.name == 'active_learning.html' and tree.findtext('head/title') == (
        'Active learning: net on mine'
    )


def test_it_is_made_of_files_alone_at_any_time(made, html, tmp_path):
    before = html.read_bytes()
    assert write_active_report(made[1], tmp_path / 'again.html').read_bytes() == before
    work = tmp_path / 'begun'
    work.mkdir()
    shutil.copy(made[1] / 'active_plan.json', work)
    tree = ElementTree.fromstring(write_active_report(work).read_text())
    assert texts(tree, './/header/p') == ['0 of 10 rounds are finished']
    assert texts(section_of(tree, 'Budget curve'), 'p') == ['No round is finished yet.']
    assert json.loads((work / 'active_learning.json').read_text())['curves']['random'] == {
        '0': [], '1': []}  # fmt: skip


def test_images_that_have_moved_are_said(made, tmp_path):
    work = shutil.copytree(made[1], tmp_path / 'work')
    for path in [*work.rglob('data.yml'), *work.rglob('chosen_classes.json')]:
        gone = path.read_text().replace(str(made[1].parent / 'data'), '/nowhere')
        path.write_text(gone) if path.suffix == '.yml' else path.unlink()
    tree = ElementTree.fromstring(write_active_report(work).read_text())
    chosen = rows_of(section_of(tree, 'What each round changed'))[0][4]
    assert chosen.startswith('not known: /nowhere/images/train: no such folder')
    missing = texts(section_of(tree, 'What was chosen'), './/p')
    assert any(words.startswith('no pictures: /nowhere/images/train') for words in missing)
    assert rows_of(section_of(tree, 'Budget curve'))[0][1] == '25.0 ± 7.1 (n = 2)'


@pytest.mark.parametrize('width', [400, 1280])
def test_chromium_shows_it_and_a_click_enlarges(html, browser_view, width):
    probe = """
        page.querySelectorAll('details').forEach(part => part.open = true);
        const button = page.querySelector('.examples .zoom');
        button.click();
        const dialog = page.getElementById('large');
        return [dialog.open, dialog.querySelector('p').textContent];"""
    seen = browser_view(html, width, probe)
    assert seen['width'] <= width  # nothing sticks out to the right
    assert seen['probed'] == [True, f'{ODD}, chosen in round 0 by start']
    assert seen['broken'] == 0 and seen['errors'] == []


# --- tools ----------------------------------------------------------------------------------------


def test_the_tool_for_reports_takes_a_folder_of_rounds(made, tmp_path, monkeypatch, capsys):
    tool, out = load_tool('report'), tmp_path / 'page.html'
    monkeypatch.setattr(sys, 'argv', ['report', str(made[1]), '--out', str(out), '--title', 'Mine'])
    tool.main()
    assert ElementTree.fromstring(out.read_text()).findtext('head/title') == 'Mine'
    assert capsys.readouterr().out == f'report: {out}\n'
    for words in ([str(tmp_path), str(made[1])], [str(made[1]), '--complete']):
        monkeypatch.setattr(sys, 'argv', ['report', *words])
        with pytest.raises(ValueError, match='holds rounds of active learning: give it alone'):
            tool.main()


def test_rounds_go_on_without_a_page(tmp_path, capsys):
    tool = load_tool('active_learning')
    tool.refresh(tmp_path)
    assert 'warning: no page: ' in capsys.readouterr().err
    (tmp_path / 'active_plan.json').write_text('{"config": "a.py"}')
    with pytest.raises(ValueError, match='active_plan.json: .*missing'):
        write_active_report(tmp_path)
