"""Rounds with people, with stand-ins for the tools and the model: what a call does, and when."""

import dataclasses
import json
import os
import shutil
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from support.paths import ROOT
from support.rounds import Setup
from support.tools import load_tool
from support.user_folder import VALUES

from mmseg_ext.apis.labels import people
from mmseg_ext.apis.labels.exchange import Predicted
from mmseg_ext.apis.labels.people import PeopleLoop
from mmseg_ext.apis.labels.people_round import people_rounds
from mmseg_ext.apis.labels.steps import Steps
from mmseg_ext.core.masks import read_mask
from mmseg_ext.core.signals import Stopped
from mmseg_ext.datasets.folder import read_list

SIZE = (40, 40)


def drawn(name):
    """The mask that people make of an image: it tells which image it is of."""
    label = np.zeros(SIZE, np.uint8)
    label[5 : 6 + int(name.removesuffix('.png')), 3:30] = 1
    label[30:35] = 2
    return label


@pytest.fixture
def loop(tmp_path, monkeypatch):
    """Ten labelled images, and seven others (20 to 26) in a folder of their own."""
    setup = Setup(tmp_path)
    pool = tmp_path / 'unlabelled'
    pool.mkdir()
    for number in range(7):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        Image.fromarray(pixels).save(pool / f'{number + 20}.png')

    def predict(model, images):
        assert model == 'the model'
        for name in images.names:
            yield Predicted(name, SIZE, drawn(name), 0.5)

    monkeypatch.setattr(people, 'load_model', lambda *_, **__: 'the model')
    monkeypatch.setattr(people, 'predict_masks', predict)
    monkeypatch.chdir(ROOT)
    steps = Steps(str(setup.config), setup.launch, ('max_iters=3',), dict(max_iters=3), ('--amp',))
    made = PeopleLoop(
        steps, setup.file, setup.work, 'random', 3, images=pool, command='tool --people cvat'
    )
    return setup, made


def finish(loop, number=1, leave=0):
    """Accept what the model predicted, but for the last ``leave`` images."""
    tasks = json.loads((loop.work_dir / f'round{number}/to_label/tasks.json').read_text())
    for task in tasks[: len(tasks) - leave]:
        task['annotations'] = task.pop('predictions')
    path = loop.work_dir / f'finished{number}.json'
    path.write_text(json.dumps(tasks))
    return path


def seen(setup):
    """Tool, folder and seed of each call."""
    calls = []
    for tool, _, words in setup.calls():
        seed = words[words.index('--seed') + 1] if '--seed' in words else None
        calls.append((tool, words[words.index('--work-dir') + 1].split('/')[-2], seed))
    return calls


def test_a_call_trains_chooses_and_hands_over(loop, capsys):
    setup, loop = loop
    assert loop.run() is None
    assert seen(setup) == [('train', 'round1', '0'), ('test', 'round1', None)]
    one = setup.work / 'round1'
    chosen = read_list(one / 'chosen.txt')
    assert len(set(chosen)) == 3 and set(chosen) <= {str(n) for n in range(20, 27)}
    assert read_list(one / 'labelled.txt') == [str(n) for n in range(10)]
    tasks = json.loads((one / 'to_label/tasks.json').read_text())
    shown = [t['data']['image'].rpartition('=')[2] for t in tasks]
    assert shown == [f'unlabelled/{n}.png' for n in chosen]
    told = capsys.readouterr().out
    assert 'when done, export as JSON: tool --people cvat --finished FILE' in told


def test_while_people_work_a_call_only_says_what_it_waits_for(loop, capsys):
    setup, loop = loop
    loop.run()
    last = capsys.readouterr().out.splitlines()[-4:]
    setup.calls()
    assert loop.run() is None and setup.calls() == []
    assert capsys.readouterr().out.splitlines() == last


def test_masks_that_come_back_are_trained_on_in_the_next_round(loop):
    setup, loop = loop
    loop.run()
    first = read_list(setup.work / 'round1/chosen.txt')
    setup.calls()
    assert loop.run(finish(loop, leave=1)) is None
    assert seen(setup) == [('train', 'round2', '1'), ('test', 'round2', None)]
    masks = setup.file.parent / 'masks/train'
    for stem in first[:2]:
        assert np.array_equal(read_mask(str(masks / f'{stem}.png')), VALUES[drawn(stem)])
        assert (setup.file.parent / f'images/train/{stem}.png').is_file()
    assert not (masks / f'{first[2]}.png').exists()
    assert read_list(setup.work / 'round2/labelled.txt') == sorted(
        [*(str(n) for n in range(10)), *first[:2]]
    )
    second = read_list(setup.work / 'round2/chosen.txt')
    assert len(second) == 3 and not set(second) & set(first[:2])


def test_the_last_round_takes_what_is_left(loop, capsys):
    setup, loop = loop
    loop.run()
    loop.run(finish(loop, 1))
    loop.run(finish(loop, 2))
    assert len(read_list(setup.work / 'round3/chosen.txt')) == 1  # seven of three a round
    loop.run(finish(loop, 3))
    assert capsys.readouterr().out.endswith('everything has labels: nothing is left to choose\n')
    assert len(read_list(setup.work / 'round4/labelled.txt')) == 17
    assert not (setup.work / 'round4/chosen.txt').exists()


@pytest.mark.parametrize('where', ['choose_images', 'export_project', 'write_lines'])
def test_a_call_that_was_stopped_goes_on(loop, monkeypatch, where):
    setup, loop = loop
    work, count = getattr(people, where), []

    def stop(*arguments, **options):
        count.append(1)
        if where != 'write_lines' or len(count) == 2:  # the first notes what has labels
            raise Stopped(15)
        return work(*arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(people, where, stop)
        with pytest.raises(Stopped):
            loop.run()
    assert not (setup.work / 'round1/handed_over.txt').exists()
    before = sorted(p.name for p in (setup.work / 'round1').glob('chosen.txt'))
    setup.calls()
    assert loop.run() is None and setup.calls() == []  # training and test are not done again
    assert len(read_list(setup.work / 'round1/chosen.txt')) == 3
    assert before == ([] if where == 'choose_images' else ['chosen.txt'])


def test_masks_are_taken_back_once_though_a_call_was_stopped(loop, monkeypatch, capsys):
    setup, loop = loop
    loop.run()
    path = finish(loop)
    with monkeypatch.context() as patch:
        patch.setattr(people, 'write_lines', lambda *_: (_ for _ in ()).throw(Stopped(15)))
        with pytest.raises(Stopped):
            loop.run(path)
    assert not (setup.work / 'round1/returned.txt').exists()
    assert '3 masks added, 0 were there already' in capsys.readouterr().out
    assert loop.run(path) is None
    assert '0 masks added, 3 were there already' in capsys.readouterr().out
    assert len(read_list(setup.work / 'round2/labelled.txt')) == 13


def test_what_does_not_fit_is_one_line(loop):
    setup, loop = loop
    with pytest.raises(ValueError, match='no round waits for masks: leave --finished out'):
        loop.run(setup.file)
    loop.run()
    with pytest.raises(ValueError, match='nothing is painted in its 3 images: nothing done'):
        loop.run(finish(loop, leave=3))
    damaged = setup.file.parent / 'masks/train/3.png'
    damaged.write_bytes(b'no image')
    with pytest.raises(ValueError, match='has errors now, see above: correct them'):
        loop.run(finish(loop))
    assert not (setup.work / 'round1/returned.txt').exists()


def test_masks_of_an_older_round_end_no_round(loop):
    setup, loop = loop
    loop.run()
    first = finish(loop, 1)
    loop.run(first)
    setup.calls()
    with pytest.raises(ValueError, match='none of its 3 finished images is one of the 3 that'):
        loop.run(first)
    assert setup.calls() == [] and not (setup.work / 'round2/returned.txt').exists()
    both = json.loads(first.read_text()) + json.loads(finish(loop, 2, leave=2).read_text())
    first.write_text(json.dumps(both))  # a project that goes on holds the older images, too
    loop.run(first)
    assert len(read_list(setup.work / 'round2/returned.txt')) == 4


@pytest.mark.parametrize('case', ['root', 'namesake', 'blank', 'latin1'])
def test_what_would_fail_after_the_training_is_refused_before_it(loop, case):
    setup, loop = loop
    pool = loop.images
    if case == 'root':
        loop = dataclasses.replace(loop, root=pool)
    elif case == 'namesake':  # training has another image 3
        shutil.copy(pool / '20.png', pool / '3.png')
    elif case == 'blank':
        (pool / '20.png').rename(pool / '20 .png')
    else:
        (pool / '20.png').rename(os.fsdecode(os.fsencode(pool) + b'/\xe9.png'))
    text = dict(
        root='is no folder below .* --root', namesake=r"different images of the name '3'",
        blank=r"20 \.png': the name has a line break, or blanks", latin1='the name has no UTF-8',
    )  # fmt: skip
    with pytest.raises(ValueError, match=text[case]):
        loop.run()
    assert setup.calls() == [] and not (setup.work / 'round1').exists()


def test_a_step_that_fails_ends_the_call_and_is_done_again(loop):
    setup, loop = loop
    setup.fail.write_text('test' + setup.file.parent.name)
    step, log = loop.run()
    assert step == 'test' and 'on purpose' in log.read_text()
    assert not (setup.work / 'round1/chosen.txt').exists()
    setup.fail.unlink()
    setup.calls()
    assert loop.run() is None
    assert seen(setup) == [('test', 'round1', None)]


def test_masks_may_not_change_while_a_round_is_trained(loop):
    setup, loop = loop
    setup.fail.write_text('test' + setup.file.parent.name)
    loop.run()
    mask = setup.file.parent / 'masks/train/20.png'
    Image.fromarray(VALUES[drawn('20')]).save(mask)
    shutil.copy(loop.images / '20.png', setup.file.parent / 'images/train')
    with pytest.raises(ValueError, match='masks of train changed while .*round1.*starts anew'):
        loop.run()


def test_a_round_notes_what_its_page_says_and_a_page_is_written_at_any_time(loop):
    setup, loop = loop
    loop.run()
    loop.run(finish(loop))
    first, second = people_rounds(setup.work)
    assert first.asked() == dict(
        config=str(setup.config), dataset=str(setup.file), strategy='random',
        images=str(loop.images), tool='label-studio', seed=0, options=['max_iters=3'],
    )  # fmt: skip
    assert second.asked()['seed'] == 1
    tool = load_tool('active_learning')
    tool.refresh(setup.work, tool.pages.write_people_report)
    page = ElementTree.fromstring((setup.work / 'active_learning.html').read_text())
    said = ''.join(page.itertext())
    assert '2 rounds tested; round 2 waits for the masks of 3 images' in said
    assert people_rounds(setup.folder) == []
