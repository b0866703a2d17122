"""Which tools run for which row, with stand-ins for them: order, resuming, failing, submitting."""

import json
import os
import re
import runpy
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from mmengine.registry import init_default_scope
from mmseg.registry import DATASETS
from PIL import Image
from support.tools import load_tool
from support.user_folder import TEXT, write_folder

from mmseg_ext.apis.cli.arguments import parse_options
from mmseg_ext.apis.config.semi import is_semi, plain_model
from mmseg_ext.apis.run.launch import Launch
from mmseg_ext.apis.tables import run as table_run
from mmseg_ext.apis.tables import submit as table_submit
from mmseg_ext.apis.tables.folders import find_runs
from mmseg_ext.apis.tables.jobs import Settings, all_options, load_row, make_job
from mmseg_ext.apis.tables.rows import choose_rows, read_tables
from mmseg_ext.apis.tables.run import run_table
from mmseg_ext.core.files import write_json
from mmseg_ext.core.locks import locked

# Stands in for train.py and test.py: writes down its arguments and what the tool would leave.
FAKE = """
import json, shutil, sys
from pathlib import Path
tool, arguments = Path(sys.argv[0]).stem, sys.argv[1:]
folder = Path(arguments[arguments.index('--work-dir') + 1])
with open({log!r}, 'a') as log:
    log.write(json.dumps([tool, folder.name, *arguments]) + '\\n')
if Path({fail!r}).is_file() and Path({fail!r}).read_text() == tool + ' ' + folder.name:
    print('what led to it')
    sys.exit('error: on purpose')
if tool == 'train':
    for name in ('iter_9.pth', 'best_mIoU_iter_6.pth'):
        shutil.copy({whole!r}, folder / name)
    (folder / 'last_checkpoint').write_text(str(folder / 'iter_9.pth'))
else:
    (folder / 'results.json').write_text(json.dumps(dict(
        config=Path(arguments[0]).stem, checkpoint=Path(arguments[1]).name,
        dataset=dict(name='VOCDataset', split='val', num_images=1449),
        metrics=dict(mIoU=dict(value=0.5)))))
"""
CONFIG = """
model = dict(type='EncoderDecoder')
train_cfg = dict(type='IterBasedTrainLoop', max_iters=9, val_interval=3)
train_dataloader = dict(batch_size={depth})
"""
TABLES = """
protocol: {dataset: VOCDataset, images: 1449, seeds: [0, 1]}
tables:
  1:
    caption: toys
    rows:
      - {label: Small, config: small, printed: {mIoU: 50.5}}
      - {label: Small + CRF, config: small_crf, weights_of: Small}
      - {label: Missing, config: missing}
      - label: Large
        config: large
        options: {train_dataloader.batch_size: 101}
        printed: {mIoU: 90}
"""


class Setup:
    """A paper with three configs, and stand-ins for the tools."""

    def __init__(self, folder: Path) -> None:
        self.configs, self.work, self.tools = (folder / n for n in ('configs', 'work', 'tools'))
        self.log, self.fail = folder / 'calls.txt', folder / 'fail'
        self.tools.mkdir()
        for name in ('train', 'test'):
            text = FAKE.format(
                log=str(self.log), fail=str(self.fail), whole=str(folder / 'whole.pth')
            )
            (self.tools / f'{name}.py').write_text(text)
        (self.configs / 'toy').mkdir(parents=True)
        (self.configs / 'toy' / 'tables.yml').write_text(TABLES)
        for name, depth in (('small', 18), ('small_crf', 19), ('large', 50)):
            (self.configs / 'toy' / f'{name}.py').write_text(CONFIG.format(depth=depth))

    def table(self, *names: str):
        return choose_rows(read_tables('toy', self.configs)['1'], names or None)

    def settings(self, *, gpus: int = 0, **settings) -> Settings:
        defaults = dict(launch=Launch(self.tools, gpus), work_dirs=self.work, seeds=(0, 1))
        return Settings(**dict(defaults, **settings))

    def run(self, *names: str, **settings) -> list:
        return run_table(self.table(*names), self.settings(**settings))

    def calls(self) -> list:
        """The calls since the last look, as (tool, folder)."""
        return [tuple(call[:2]) for call in self.arguments()]

    def arguments(self) -> list:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        self.log.unlink(missing_ok=True)
        return [json.loads(line) for line in lines]


@pytest.fixture
def slow_setup(tmp_path, whole_checkpoint) -> Setup:
    """Stand-ins in processes of their own, as the tools are."""
    whole_checkpoint(tmp_path / 'whole.pth', iteration=9)
    return Setup(tmp_path)


@pytest.fixture
def setup(slow_setup, monkeypatch) -> Setup:
    """The same stand-ins in this process, which is faster."""

    def run(self, command: list, title: str, log: Path) -> int:
        print(title)
        tool = next(place for place, word in enumerate(command) if word.endswith('.py'))
        monkeypatch.setattr(sys, 'argv', command[tool:])
        try:
            runpy.run_path(command[tool])
        except SystemExit:
            return 1
        return 0

    monkeypatch.setattr(Launch, 'run', run)
    return slow_setup


LARGE = 'large_large_seed'


def test_all_rows_with_one_seed_then_with_the_next(setup, capfd):
    assert setup.run() == []
    calls = setup.arguments()
    order = [tuple(call[:2]) for call in calls]
    assert order == [
        call
        for seed in (0, 1)
        for call in (
            ('train', f'small_seed{seed}'),
            ('test', f'small_seed{seed}'),
            ('test', f'small_crf_seed{seed}'),  # no training of its own
            ('train', f'{LARGE}{seed}'),
            ('test', f'{LARGE}{seed}'),
        )
    ]
    path, work = setup.configs / 'toy', setup.work
    assert calls[5][2:] == [f'{path}/small.py', '--work-dir', f'{work}/small_seed1', '--seed', '1']
    best = f'{work}/small_seed1/best_mIoU_iter_6.pth'
    assert calls[6][2:] == [f'{path}/small.py', best, '--work-dir', f'{work}/small_seed1']
    assert calls[7][2:4] == [f'{path}/small_crf.py', best]
    assert calls[8][-2:] == calls[9][-2:] == ['--cfg-options', 'train_dataloader.batch_size=101']
    assert setup.run() == [] and setup.calls() == []  # all finished
    assert capfd.readouterr().out.count('finished already') == 6
    found = find_runs(setup.table(), work)
    assert [len(row.runs) for row in found.rows] == [2, 2, 0, 2]


def test_options_are_read_as_typed():
    assert parse_options(['a.b=1', 'c=[1,2]', 'd=x=y']) == {'a.b': 1, 'c': [1, 2], 'd': 'x=y'}
    with pytest.raises(ValueError, match="--cfg-options 'max_iters' is not key=value"):
        parse_options(['a=1', 'max_iters'])


def test_options_reach_every_row(setup):
    options = ('max_iters=200', 'train_dataloader.batch_size=7')
    setup.run('small', 'large', seeds=(5,), options=options, amp=True, deterministic=True)
    calls = setup.arguments()
    assert [call[1] for call in calls] == ['small_seed5'] * 2 + [f'{LARGE}5'] * 2
    assert calls[0][-7:] == ['--seed', '5', '--amp', '--deterministic', '--cfg-options', *options]
    assert calls[2][-4:] == ['--cfg-options', 'train_dataloader.batch_size=101', *options]
    assert calls[3][-4:] == ['--cfg-options', 'train_dataloader.batch_size=101', *options]


def test_the_trainings_alone_get_the_switches(setup):
    for path in (setup.configs / 'toy').glob('*.py'):
        path.write_text(f'{path.read_text()}val_cfg = dict(type="ValLoop")\n')
    setup.run('small', seeds=(5,), options=('max_iters=200',), switches=('--early-stop', '5'))
    train, test = setup.arguments()
    assert train[-4:] == ['--early-stop', '5', '--cfg-options', 'max_iters=200']
    assert test[0] == 'test' and '--early-stop' not in test
    options = dict(seeds=(5,), options=('max_iters=200',))
    with pytest.raises(ValueError, match=r"switches was \['--early-stop', '5'\] and is \[\]"):
        setup.run('small', **options)
    stamp = setup.work / 'small_seed5' / 'table_row.json'
    stamp.write_text(stamp.read_text().replace('"switches"', '"nothing"'))  # of an older version
    with pytest.raises(ValueError, match=r"switches was \[\] and is \['--early-stop', '5'\]"):
        setup.run('small', **options, switches=('--early-stop', '5'))
    assert setup.calls() == []


def test_a_switch_that_does_not_fit_is_refused_before_a_row_runs(setup):
    with pytest.raises(ValueError, match='--early-stop must be at least 1 validation'):
        setup.run('small', 'large', switches=('--early-stop', '0'))
    assert setup.calls() == [] and not setup.work.exists()


def test_a_killed_row_resumes_where_it_was(setup, whole_checkpoint):
    setup.run('small', seeds=(0,))
    setup.arguments()
    folder = setup.work / 'small_seed0'
    (folder / 'results.json').unlink()
    setup.run('small', seeds=(0,))
    assert setup.calls() == [('test', 'small_seed0')]  # killed between training and test
    (folder / 'results.json').unlink()
    for name in ('iter_9.pth', 'best_mIoU_iter_6.pth'):
        (folder / name).unlink()
    whole_checkpoint(folder / 'iter_3.pth')
    setup.run('small', seeds=(0,), options=('load_from=start.pth',))
    train, test = setup.arguments()
    options = ['--cfg-options', 'load_from=start.pth', 'load_from=None']
    assert train[0] == 'train' and train[-4:] == ['--resume', *options] and test[0] == 'test'
    assert (folder / 'last_checkpoint').read_text().endswith('iter_9.pth')


def test_a_last_checkpoint_cut_short_is_trained_again(setup):
    setup.run('small', seeds=(0,))
    setup.arguments()
    folder = setup.work / 'small_seed0'
    (folder / 'results.json').unlink()
    (folder / 'iter_9.pth').write_bytes(b'cut')
    setup.run('small', seeds=(0,))
    assert [call[0] for call in setup.arguments()] == ['train', 'test']


def test_a_failing_row_is_listed_and_the_others_go_on(slow_setup, capfd):
    setup = slow_setup
    setup.fail.write_text('train small_seed0')
    small, crf = setup.run(seeds=(0,))
    assert (small.label, small.seed, small.step) == ('Small', 0, 'training')
    assert small.log == setup.work / 'small_seed0' / 'train.log'
    assert 'what led to it' in small.log.read_text() and str(small.log) in str(small)
    assert 'error: on purpose' in small.log.read_text()
    assert 'error: on purpose' in capfd.readouterr().err  # and on the screen
    assert crf.label == 'Small + CRF' and 'no checkpoint' in str(crf)
    assert setup.calls() == [
        ('train', 'small_seed0'), ('train', f'{LARGE}0'), ('test', f'{LARGE}0')
    ]  # fmt: skip
    setup.fail.write_text('test small_seed0')
    assert [failure.step for failure in setup.run('small', seeds=(0,))] == ['testing']
    assert setup.calls() == [('train', 'small_seed0'), ('test', 'small_seed0')]
    setup.fail.unlink()
    assert setup.run('small', seeds=(0,)) == []
    assert setup.calls() == [('test', 'small_seed0')]


def test_a_row_whose_config_is_wrong_does_not_stop_the_others(setup):
    (setup.configs / 'toy' / 'small.py').write_text('model = dict(')
    failures = setup.run(seeds=(0,))
    assert [failure.label for failure in failures] == ['Small', 'Small + CRF']
    assert failures[0].step == 'its config' and 'was never closed' in failures[0].reason
    assert [call[1] for call in setup.arguments()] == [f'{LARGE}0'] * 2


def test_a_mistake_of_all_rows_is_one_message_before_anything_runs(setup, capfd):
    with pytest.raises(ValueError, match='no_such_setting'):
        setup.run(options=('no_such_setting=4',))
    (setup.work.parent / 'mine.yml').write_text(
        'classes: [a, b]\ntrain: {images: there, masks: m}\nval: {images: there, masks: m}\n'
    )
    with pytest.raises(FileNotFoundError, match=r'there: no such folder.*mine\.yml names as train'):
        setup.run(dataset=str(setup.work.parent / 'mine.yml'))
    assert setup.calls() == [] and not setup.work.exists() and capfd.readouterr().out == ''


@pytest.fixture
def few_labels(tmp_path) -> Path:
    """A user's data with five images that have no mask."""
    folder = write_folder(tmp_path / 'user')
    (folder / 'images' / 'more').mkdir()
    for index in range(5):
        Image.new('RGB', (60, 50), (40 * index, 9, 9)).save(folder / f'images/more/{index}.png')
    (folder / 'semi.yml').write_text(TEXT + 'unlabelled: {images: images/more}\n')
    return folder


FEW_LABELS = [table for name, table in read_tables('survey').items()
              if name.startswith('few-labels') and name.endswith('camvid180')]  # fmt: skip


@pytest.mark.parametrize('table', FEW_LABELS, ids=[table.table for table in FEW_LABELS])
def test_rows_with_few_labels_follow_a_users_data(few_labels, table):
    """Options, too, that the row sets behind its config: UniMatch has a view more than FixMatch."""
    init_default_scope('mmseg')
    assert len(FEW_LABELS) == 3
    views = {'supervised': None, 'Mean Teacher': 1, 'FixMatch': 1, 'UniMatch': 2, 'CPS': 0}
    found = {}
    for row in table.rows:
        cfg = load_row(row, all_options(row, ()), dataset=str(few_labels / 'semi.yml'))
        found[row.label] = None
        if is_semi(cfg.model):
            labelled, others = map(DATASETS.build, cfg.train_dataloader.dataset.datasets)
            assert (len(labelled), len(others)) == (6, 5)
            assert plain_model(cfg.model).decode_head.num_classes == 3
            found[row.label] = len(others[0]['data_samples'].strong_views)
    adversarial = {'adversarial': 0} if table.table == 'few-labels-camvid180' else {}
    assert found == {**views, **adversarial}


@pytest.mark.parametrize(
    ('entry', 'error', 'told'),
    [
        ('', ValueError, 'semi.yml names no unlabelled images: add a line such as'),
        ('unlabelled: {images: gone}', FileNotFoundError, 'gone: no such folder'),
    ],
)
def test_rows_that_need_unlabelled_images_are_refused_before_anything_runs(
    setup, few_labels, entry, error, told
):
    data = few_labels / 'semi.yml'
    data.write_text(TEXT + entry + '\n')
    table = next(table for table in FEW_LABELS if table.table == 'few-labels-mfp-camvid180')
    with pytest.raises(error, match=f'{told}.*; rows without them: --rows supervised$') as found:
        run_table(table, setup.settings(dataset=str(data)))
    assert '\n' not in str(found.value) and setup.calls() == [] and not setup.work.exists()
    with pytest.raises(error, match=told) as found:
        run_table(choose_rows(table, ['CPS']), setup.settings(dataset=str(data)))
    assert '--rows' not in str(found.value)
    assert run_table(choose_rows(table, ['supervised']), setup.settings(dataset=str(data))) == []
    assert setup.calls()[0][0] == 'train'


def test_rows_that_choose_images_of_their_own_data_are_refused_on_a_users(setup, few_labels):
    table, data = read_tables('survey')['few-labels-voc'], str(few_labels / 'semi.yml')
    told = "few-labels-voc has rows that choose images .*--rows 'supervised 183,FixMatch 183,Uni"
    with pytest.raises(ValueError, match=told) as found:
        run_table(table, setup.settings(dataset=data))
    assert '\n' not in str(found.value) and setup.calls() == [] and not setup.work.exists()
    rest = choose_rows(table, ['supervised 183'])
    assert run_table(rest, setup.settings(dataset=data)) == []
    assert setup.calls()[0][0] == 'train'


def test_a_row_goes_on_from_another_rows_run(setup):
    """Wherever the tables keep it, and whatever length it had."""
    path = setup.configs / 'toy' / 'large.py'
    path.write_text(path.read_text() + "load_from = 'work_dirs/small/iter_40000.pth'\n")
    [failure] = setup.run('large', seeds=(1,))
    assert setup.calls() == [] and 'small_seed1, which is not there' in str(failure)
    assert setup.run('small', 'large', seeds=(1,)) == []
    train = setup.arguments()[2]
    assert train[:2] == ['train', f'{LARGE}1']
    assert train[-1] == f'load_from={setup.work / "small_seed1" / "iter_9.pth"}'
    setup.run('large', seeds=(2,), options=('load_from=mine.pth',))
    assert setup.arguments()[0][-1] == 'load_from=mine.pth'


def contents(folder: Path) -> dict:
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob('*.*')}


@pytest.mark.parametrize(
    ('name', 'text', 'message'),
    [
        ('results.json', '{"config": "fmsi_xception_voc"}', 'was fmsi_xception_voc and is small'),
        ('results.json', '{"config": "small", "seed": 3}', 'seed was 3 and is 1'),
        ('small.py', CONFIG.format(depth=99), 'config_sha256 was'),
        ('thesis.txt', 'mine', r'was unknown \(thesis.txt\)'),
    ],
)
def test_a_folder_of_something_else_is_refused_before_anything_runs(setup, name, text, message):
    folder = setup.work / 'small_seed1'
    folder.mkdir(parents=True)
    (folder / name).write_text(text)
    before = contents(setup.work)
    with pytest.raises(ValueError, match=f'small_seed1 holds another run.*{message}.*--work-dirs'):
        setup.run()
    assert setup.calls() == [] and contents(setup.work) == before


@pytest.mark.parametrize('name', ['table_row.json', 'results.json'])
def test_a_damaged_file_is_named(setup, name):
    folder = setup.work / 'small_seed0'
    folder.mkdir(parents=True)
    (folder / name).write_text('{"config": ')
    with pytest.raises(ValueError, match=f'small_seed0/{name} is damaged .*: remove it'):
        setup.run('small', seeds=(0,))
    assert setup.calls() == [] and (folder / name).read_text() == '{"config": '


def test_other_settings_are_refused_and_equal_ones_are_not(setup):
    setup.run('small', seeds=(0,))
    setup.arguments()
    before = contents(setup.work)
    for changes in (
        dict(options=('train_dataloader.batch_size=50',)),
        dict(amp=True),
        dict(deterministic=True),
    ):
        with pytest.raises(ValueError, match='holds another run'):
            setup.run('small', seeds=(0,), **changes)
    assert contents(setup.work) == before and setup.calls() == []
    assert setup.run('small', seeds=(0,), options=('train_dataloader.batch_size=18',)) == []


@pytest.mark.parametrize('older', [False, True], ids=['stamp', 'config of an older run'])
def test_a_row_of_other_images_or_other_masks_is_refused(few_labels, tmp_path, older):
    """A finished row was kept, and compared with rows that were trained on more images."""
    file = few_labels / 'semi.yml'
    table = read_tables('mfp')['3']
    settings = Settings(
        launch=Launch(tmp_path), work_dirs=tmp_path / 'work', seeds=(0,), dataset=str(file),
        options=('max_iters=9',),
    )  # fmt: skip

    def job():
        return make_job(table, table.rows[0], 0, settings)

    first = job()
    folder = first.folder
    folder.path.mkdir(parents=True)
    stamp = table_run._stamp(first, settings)
    if older:
        stamp = {key: value for key, value in stamp.items() if key not in ('images', 'masks')}
        first.cfg.dump(folder.path / f'{table.rows[0].config}.py')
    write_json(folder.row_file, stamp)
    table_run.check_folder(job(), settings, None)
    for part in ('images', 'masks'):
        shutil.copy(few_labels / part / 'train/0.png', few_labels / part / 'train/one_more.png')
    with pytest.raises(ValueError, match='it was trained on other images of that data set'):
        table_run.check_folder(job(), settings, None)
    for part in ('images', 'masks'):
        (few_labels / part / 'train/one_more.png').unlink()
    table_run.check_folder(job(), settings, None)
    swapped = file.read_text().replace('value: 7', 'value: X').replace('value: 9', 'value: 7')
    file.write_text(swapped.replace('value: X', 'value: 9'))
    with pytest.raises(ValueError, match='values in the masks had another meaning'):
        table_run.check_folder(job(), settings, None)


def test_a_run_of_the_training_tool_is_taken_over(setup, whole_checkpoint):
    folder = setup.work / 'small_seed0'
    whole_checkpoint(folder / 'iter_6.pth')
    text = CONFIG.format(depth=18) + 'randomness = dict(seed=0)\n'
    (folder / 'small.py').write_text(text)
    assert setup.run('small', seeds=(0,)) == []
    assert '--resume' in setup.arguments()[0]


def test_a_result_of_another_checkpoint_is_tested_again(setup):
    setup.run('small', seeds=(0,))
    setup.arguments()
    results = setup.work / 'small_seed0' / 'results.json'
    results.write_text(json.dumps(dict(config='small', checkpoint='iter_3.pth', metrics={})))
    setup.run('small', seeds=(0,))
    assert setup.calls() == [('test', 'small_seed0')]
    for path in results.parent.glob('*.pth'):  # deleted to save space: the result still holds
        path.unlink()
    assert setup.run('small', seeds=(0,)) == [] and setup.calls() == []


def test_a_table_that_shows_the_calibration_error_has_it_counted(setup):
    """A test without it is repeated, unless its weights were deleted; the last one is tested."""
    setup.run('small', seeds=(0,))
    assert '--calibration' not in setup.arguments()[1]
    table = replace(setup.table('small'), metrics=('mIoU', 'ECE'))
    table = replace(table, protocol=replace(table.protocol, checkpoint='last'))
    settings = setup.settings(seeds=(0,))
    assert run_table(table, settings) == []
    ((tool, _, *words),) = setup.arguments()
    assert tool == 'test' and '--calibration' in words and words[1].endswith('/iter_9.pth')
    path = setup.work / 'small_seed0' / 'results.json'
    bare = path.read_text()
    path.write_text(json.dumps(dict(json.loads(bare), calibration=dict(ECE=0.1))))
    assert run_table(table, settings) == [] and setup.calls() == []
    path.write_text(bare)
    for weights in path.parent.glob('*.pth'):
        weights.unlink()
    assert run_table(table, settings) == [] and setup.calls() == []


def test_gpus_start_every_row_through_torchrun(setup):
    command = Launch(setup.tools, gpus=4).command('train', 'a.py', '--seed', 0)
    assert command[1].endswith('mmseg_ext/engine/torchrun.py')
    assert command[2:5] == ['--standalone', '--nproc_per_node=4', str(setup.tools / 'train.py')]
    assert command[5:] == ['a.py', '--seed', '0', '--launcher', 'pytorch']


def test_two_processes_do_not_share_a_folder(setup, monkeypatch):
    with locked(setup.work / 'small_seed0'), monkeypatch.context() as other:
        other.delenv('MMSEG_EXT_LOCKED')  # what tells a table's children from others
        [failure] = setup.run('small', seeds=(0,))
        assert 'in use by another process' in str(failure) and setup.calls() == []
    assert setup.run('small', seeds=(0,)) == []


SBATCH = """#!{python}
import sys
with open({log!r}, 'a') as log:
    log.write('\\0'.join(sys.argv[1:]) + '\\n')
print(len(open({log!r}).readlines()))
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """An sbatch that writes down what it is told, and an empty queue."""
    log = tmp_path / 'jobs.txt'
    (tmp_path / 'bin').mkdir()
    texts = dict(sbatch=SBATCH.format(python=sys.executable, log=str(log)), squeue='#!/bin/sh\n')
    for name, text in texts.items():
        (tmp_path / 'bin' / name).write_text(text)
        (tmp_path / 'bin' / name).chmod(0o755)
    monkeypatch.setenv('PATH', f'{tmp_path / "bin"}{os.pathsep}{os.environ["PATH"]}')
    monkeypatch.setenv('SBATCH_ARGS', '--time 10:00')
    return log


def test_slurm_gets_a_job_for_each_row_and_seed(setup, slurm, tmp_path):
    def submit():
        return table_submit.submit_table(
            setup.table(), setup.settings(gpus=2), tool=Path('tools/table.py'), arguments=['--amp']
        )

    jobs = submit()
    assert [(job.label, job.seed, job.job) for job in jobs] == [
        ('Small', 0, '1'), ('Large', 0, '2'), ('Small', 1, '3'), ('Large', 1, '4'),
        ('Small + CRF', 0, '5'), ('Small + CRF', 1, '6'),
    ]  # fmt: skip
    lines = [line.split('\0') for line in slurm.read_text().splitlines()]
    assert {'--parsable', '--gres=gpu:2', '--job-name=small_seed0', '--time', '10:00'} < set(
        lines[0]
    )
    tool = f'; {sys.executable} tools/table.py toy 1 --rows Small --seeds 0 --ignore-tolerances'
    assert f'{tool} --amp & ' in lines[0][-1]
    assert {'--requeue', '--signal=B:USR1@90'} < set(lines[0])
    assert '--dependency=afterany:1' in lines[4] and '--dependency=afterany:3' in lines[5]
    assert not any('dependency' in word for word in lines[0])
    (tmp_path / 'bin' / 'squeue').write_text('#!/bin/sh\necho RUNNING\n')
    again = submit()
    assert [job.new for job in again] == [False] * 6
    assert len(slurm.read_text().splitlines()) == 6
    assert setup.run('small', seeds=(0,)) == []  # the job itself finds its folder its own


@pytest.mark.parametrize('name, status, again', [('USR1', 138, True), ('TERM', 143, False)])
def test_a_job_out_of_time_puts_itself_into_the_queue_again(tmp_path, name, status, again):
    """The shell's part alone, with a tool that takes its time to save."""
    tool = tmp_path / 'tool'
    tool.write_text(
        "#!/bin/sh\nend() { sleep 0.2; echo saved; exit $1; }\ntrap 'end 138' USR1\n"
        "trap 'end 143' TERM\nsleep 0.3; echo ready\nwhile :; do sleep 0.05; done\n"
    )
    (tmp_path / 'scontrol').write_text('#!/bin/sh\necho scontrol $*\n')
    for path in (tool, tmp_path / 'scontrol'):
        path.chmod(0o755)
    script = table_submit._JOB.format(command=tool, again=table_submit._AGAIN)
    env = dict(os.environ, SLURM_JOB_ID='7', PATH=f'{tmp_path}{os.pathsep}{os.environ["PATH"]}')
    job = subprocess.Popen(['sh', '-c', script], stdout=subprocess.PIPE, text=True, env=env)
    assert job.stdout.readline() == 'ready\n'
    job.send_signal(getattr(signal, f'SIG{name}'))
    rest = job.communicate(timeout=60)[0]
    assert rest == 'saved\n' + 'scontrol requeue 7\n' * again and job.returncode == status


def test_slurm_that_is_absent_is_named(setup, monkeypatch):
    monkeypatch.setenv('PATH', '')
    with pytest.raises(ValueError, match='needs sbatch'):
        table_submit.submit_table(setup.table(), setup.settings(), tool=Path('table.py'))


@pytest.fixture
def tool(setup, monkeypatch):
    """tools/table.py in this process, with the stand-ins."""
    module = load_tool('table')
    monkeypatch.setattr(module, 'TOOLS', setup.tools)
    monkeypatch.setattr(module.tables, 'table_models', lambda *a, **k: {})

    def run(*arguments: object) -> int:
        words = ['toy', *arguments, '--configs', setup.configs, '--work-dirs', setup.work]
        monkeypatch.setattr(sys, 'argv', ['table.py', *map(str, words)])
        return module.main()

    return run


def test_the_exit_status(setup, tool, capsys):
    """Small is within (50 against 50.5), Large outside (90)."""
    assert tool(1, '--report') == 0
    text = capsys.readouterr().out
    assert setup.calls() == [] and not setup.work.exists()
    assert text.count('not run') == 4 and 'no config missing' in text
    assert tool(1, '--rows', 'small') == 0
    assert '50.00 ± 0.00' in capsys.readouterr().out
    assert tool(1, '--rows', 'small,Large', '--seeds', 0) == 1
    assert tool(1, '--report') == 1
    assert '-40.00' in capsys.readouterr().out
    assert tool(1, '--report', '--ignore-tolerances') == 0
    capsys.readouterr()
    for path in setup.work.glob('*/results.json'):  # other data: no tolerances
        content = json.loads(path.read_text())
        path.write_text(json.dumps(dict(content, dataset=dict(name='Mine'))))
    assert tool(1, '--report') == 0
    text = capsys.readouterr().out
    assert '90.00' not in text and 'Difference: to the row Small' in text


def test_failures_are_listed_at_the_end(setup, tool, capsys):
    setup.fail.write_text(f'test {LARGE}1')
    assert tool(1, '--rows', 'small,large') == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines()[-1] == (
        f"error: row 'Large', seed 1: failed in testing: see {setup.work}/{LARGE}1/test.log"
    )
    assert '50.00 ± 0.00' in printed.out  # Small has both seeds


def test_failures_are_listed_where_no_row_is_left_for_a_page(setup, tool, capsys):
    setup.fail.write_text(f'train {LARGE}0')
    page = setup.work / 'page.html'
    assert tool(1, '--rows', 'large', '--seeds', 0, '--html', page) == 1
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: row 'Large', seed 0: failed in training: see {setup.work}/{LARGE}0/train.log"
    )
    assert not page.exists()


def test_numbers_below_0_are_refused_and_a_seed_counts_once(setup, tool, capsys):
    several = '--gpus, --num-folds and --latency are numbers from 0'
    for words, text in (
        (['--seeds', -1], '--seeds must be a number from 0 to 4294967295, got -1'),
        (['--gpus', -1], several),
        (['--num-folds', -5], several),
        (['--latency', -1], several),
    ):
        with pytest.raises(SystemExit, match='2'):
            tool(1, *words)
        assert text in capsys.readouterr().err
    assert setup.calls() == [] and not setup.work.exists()
    setup.work.write_text('a file')
    with pytest.raises(SystemExit, match='2'):
        tool(1)
    assert 'is a file: name the folder of all runs' in capsys.readouterr().err
    setup.work.unlink()
    assert tool(1, '--rows', 'small', '--seeds', 0, 0) == 0
    assert '50.00 ±' not in capsys.readouterr().out  # one run has no standard deviation
    assert setup.calls() == [('train', 'small_seed0'), ('test', 'small_seed0')]


def test_write_refreshes_the_card(setup, tool, capsys):
    card = setup.configs / 'toy' / 'README.md'
    card.write_text('# Toy\n\n<!-- results:start -->\n<!-- results:end -->\n\nrest\n')
    tool(1, '--seeds', 0)
    tool(1, '--write', '--report', '--out', setup.work / 'out.md')
    text = card.read_text()
    row = '| Small | mIoU | 50.50 | 50.00 | 1 |'
    assert '### toy, table 1: toys' in text
    assert '| Small | 50.50 | 50.00 | -0.50 |' in re.sub(' +', ' ', text)
    assert text.endswith('<!-- results:end -->\n\nrest\n')
    assert row in re.sub(' +', ' ', (setup.work / 'out.md').read_text())
    manifest = setup.configs / 'toy' / 'tables.yml'
    other = TABLES.split('tables:\n')[1].replace('  1:', '  2:')
    manifest.write_text(TABLES + other.replace('config: ', 'config: never_'))
    card.write_text(text.replace('50.50', ''))
    assert tool('--write') == 1 and card.read_text() == text  # Large is outside; 2 has no run
    for words in (('--rows', 'small'), ('--ema',)):
        with pytest.raises(SystemExit):
            tool(1, '--write', *words)
    with pytest.raises(SystemExit):
        tool()
    assert 'which table?' in capsys.readouterr().err


def test_a_stamp_of_other_names_is_compared_by_the_config_that_is_there(setup):
    """A type that was called otherwise made another digest of the same settings."""
    setup.run('small', seeds=(0,))
    setup.arguments()
    folder = setup.work / 'small_seed0'
    stamp = json.loads((folder / 'table_row.json').read_text())
    (folder / 'table_row.json').write_text(json.dumps(dict(stamp, config_sha256='of old names')))
    for depth in (None, 99):  # no config, another one
        if depth is not None:
            (folder / 'small.py').write_text(CONFIG.format(depth=depth))
        with pytest.raises(ValueError, match='config_sha256 was of old names'):
            setup.run('small', seeds=(0,))
    (folder / 'small.py').write_text(CONFIG.format(depth=18))
    assert setup.run('small', seeds=(0,)) == []
    assert json.loads((folder / 'table_row.json').read_text()) == stamp
