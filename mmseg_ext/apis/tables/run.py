"""Train and test the missing rows of a table, one by one, with the tools that a user would call.

A tested row is skipped, a stopped row resumes from its last checkpoint, and a failed row is
reported while the others continue. It can be run again at any time.
"""

from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...core.files import read_json, write_json
from ...core.locks import LOCK_FILE, locked
from ...core.progress import announce
from ...core.words import USER_ERRORS, message_of
from ..config.renamed import today_config
from ..folds.fold import choose_pool
from ..folds.run import Plan, config_digest, run_folds
from ..folds.summary import write_summary
from ..run.folder import RunFolder
from ..run.launch import option_arguments
from ..run.outcome.results import RunResults
from .jobs import Job, Settings, make_job
from .rows import Table
from .user_data import check_user_data

_ECE = 'ECE'  # a score of tools/test.py --calibration only
# digests of the user's data, and what to say where they differ
_OF_DATA = dict(
    images='it was trained on other images of that data set',
    masks='values in the masks had another meaning',
)


@dataclass(frozen=True)
class Failure:
    """A row that could not be trained or tested."""

    label: str
    seed: int
    step: str
    log: Optional[Path] = None
    reason: str = ''

    def __str__(self) -> str:
        where = f'see {self.log}' if self.log is not None else self.reason
        return f'row {self.label!r}, seed {self.seed}: failed in {self.step}: {where}'


def run_table(table: Table, settings: Settings) -> list[Failure]:
    """Run all unfinished rows with the first seed, then with the next seed, and so on.

    Args:
        table: From ``choose_rows``; it includes the rows whose weights others test.
        settings: How to run the rows.

    Returns:
        The rows that failed.

    Raises:
        FileNotFoundError: If the user's data are not there.
        ValueError: Before anything runs, if the data do not fit their file, rows need unlabelled
            images and it names none, no config can be read for the same reason, or the folder of a
            row has other contents.
    """
    if settings.dataset is not None:
        check_user_data(table, settings.dataset)
    jobs, failures = [], []
    for seed in settings.seeds:
        for row in table.rows:
            if row.path is None:
                continue
            try:
                jobs.append(make_job(table, row, seed, settings))
            except (*USER_ERRORS, SyntaxError) as error:
                failures.append(Failure(row.label, seed, 'its config', reason=message_of(error)))
    reasons = {failure.reason for failure in failures}
    if not jobs and len(reasons) == 1:  # such as a mistake in the options, not in one row
        raise ValueError(reasons.pop())
    for job in jobs:
        check_folder(job, settings, table.protocol.folds)
    for job in jobs:
        failure = _run_job(job, table, settings)
        if failure is not None:
            print(f'{job.title}: {failure.step} failed', flush=True)
            failures.append(failure)
    return failures


def check_folder(job: Job, settings: Settings, folds: Optional[int]) -> None:
    """Refuse the folder of a row if it has other contents. Writes nothing.

    Raises:
        ValueError: If so; the message names the differences.
    """
    folder = job.folder
    if folds is not None or not folder.path.is_dir():
        return  # the plan of a cross validation is compared by ``run_folds``
    if folder.row_file.is_file():
        old = _read_stamp(folder, job)
    else:
        old = _read_foreign(folder, job)
    new = _stamp(job, settings)
    different = [key for key in old if key in new and old[key] != new[key]]
    if different:
        changed = '; '.join(
            _OF_DATA.get(key) or f'{key} was {old[key]} and is {new[key]}' for key in different
        )
        raise ValueError(
            f'{folder.path} holds another run than row {job.row.label!r} ({changed}): give another '
            '--work-dirs, or move that folder'
        )


def _stamp(job: Job, settings: Settings) -> dict:
    """Return everything that determines a row's result."""
    return dict(
        config=job.row.config,
        config_sha256=config_digest(job.cfg),
        seed=job.seed,
        dataset=None if settings.dataset is None else Path(settings.dataset).stem,
        amp=settings.amp,
        deterministic=settings.deterministic,
        switches=list(settings.switches),
        weights=None if job.weights is None else job.weights.path.name,
        **_data_of(job.cfg),
    )


def _data_of(cfg: Optional[Config]) -> dict:
    """Return the digests of the user's images and of what values in their masks mean."""
    data = (cfg or {}).get('user_data') or {}
    return {key: data[key] for key in _OF_DATA if key in data}


def _read_stamp(folder: RunFolder, job: Job) -> dict:
    """What an earlier call has left of :func:`_stamp`, under today's names.

    Where the digests differ, the config that is there decides: a version that called a type
    otherwise made another digest of the same settings.
    """
    old = read_json(folder.row_file)
    old.setdefault('switches', [])  # of an older version
    old['config'] = today_config(old.get('config'))
    if job.cfg.get('user_data') and 'images' not in old:  # of an older version
        old |= _data_of(folder.training_config(job.row.config))
    expected = config_digest(job.cfg)
    if old.get('config_sha256') not in (None, expected):
        cfg = folder.training_config(job.row.config)
        if cfg is not None and config_digest(cfg) == expected:
            old['config_sha256'] = expected
    return old


def _read_foreign(folder: RunFolder, job: Job) -> dict:
    """Read the settings of a folder without our stamp: of ``tools/train.py``, or foreign."""
    ours = (LOCK_FILE, folder.job_file.name, '*.log')  # files of a row that did not start
    names = sorted(path.name for path in folder.path.iterdir())
    others = [name for name in names if not any(fnmatch(name, pattern) for pattern in ours)]
    if not others:
        return {}
    name = job.row.config
    cfg = folder.training_config(name) if (folder.path / f'{name}.py').is_file() else None
    if cfg is not None:
        seed = (cfg.get('randomness') or {}).get('seed')
        return dict(config=name, config_sha256=config_digest(cfg), seed=seed)
    if folder.results_file().is_file():
        results = RunResults.read(folder.results_file(), needed=())
        return dict(config=results.config, seed=results.seed)
    return dict(config=f'unknown ({others[0]})')


def _run_job(job: Job, table: Table, settings: Settings) -> Optional[Failure]:
    try:
        with locked(job.folder.path):
            if table.protocol.folds is not None:
                return _run_folds(job, table, settings)
            write_json(job.folder.row_file, _stamp(job, settings))
            return _run_single(job, table, settings)
    except USER_ERRORS as error:
        return Failure(job.row.label, job.seed, 'starting', reason=message_of(error))


def _run_folds(job: Job, table: Table, settings: Settings) -> Optional[Failure]:
    protocol = table.protocol
    plan = Plan(
        config=str(job.row.path),
        num_folds=protocol.folds or 0,
        pool=choose_pool(job.cfg),
        seed=job.seed,
        amp=settings.amp,
        deterministic=settings.deterministic,
        checkpoint=protocol.checkpoint,
        options=job.options,
        dataset=settings.dataset,
        switches=settings.switches,
    )
    announce(f'{job.title}:')
    failed = run_folds(plan, job.cfg, launch=settings.launch)
    if job.folder.tested_folds():
        write_summary(job.folder.path)
    if not failed:
        return None
    names = ', '.join(str(failure.fold) for failure in failed)
    step = f'the {failed[0].step} of fold {names}'
    return Failure(job.row.label, job.seed, step, failed[0].log)


def _run_single(job: Job, table: Table, settings: Settings) -> Optional[Failure]:
    folder, source = job.folder, job.weights or job.folder
    begun = job.weights is None and folder.is_half_trained(job.cfg)
    tested = is_tested(folder, source, table.protocol.checkpoint)
    if not begun and tested and not _lacks_ece(folder, source, table):
        announce(f'{job.title}: finished already, see {folder.path}')
        return None
    if job.weights is None and not folder.is_trained(job.cfg):
        resumed, trained = folder.resumable().path, folder.log_file('train')
        note = '' if resumed is None else f' from {resumed.name}'
        command = _train_command(job, settings, resume=resumed is not None)
        if settings.launch.run(command, f'{job.title}: train{note}', trained) != 0:
            return Failure(job.row.label, job.seed, 'training', trained)
    weights = tested_checkpoint(source, table.protocol.checkpoint)
    command = [
        *settings.launch.command('test', job.row.path, weights, '--work-dir', folder.path),
        *_dataset(settings),
        *(['--calibration'] if _ECE in table.metrics else []),
        *option_arguments(job.options),
    ]
    log = folder.log_file('test')
    if settings.launch.run(command, f'{job.title}: test', log) != 0:
        return Failure(job.row.label, job.seed, 'testing', log)
    return None


def _lacks_ece(folder: RunFolder, source: RunFolder, table: Table) -> bool:
    """Whether a test did not count the calibration that the table shows, and could be repeated."""
    if _ECE not in table.metrics or folder.scores().value(_ECE) is not None:
        return False
    try:
        return tested_checkpoint(source, table.protocol.checkpoint).is_file()
    except FileNotFoundError:  # weights deleted to save space
        return False


def _train_command(job: Job, settings: Settings, *, resume: bool) -> list[str]:
    arguments: list[Any] = ['--work-dir', job.folder.path, '--seed', job.seed]
    arguments += [f'--{flag}' for flag in ('amp', 'deterministic') if getattr(settings, flag)]
    options = job.options
    if resume:  # mmengine would resume from load_from, the initial weights
        options = (*options, 'load_from=None')
    elif job.start is not None:
        options = (*options, f'load_from={_start_of(job)}')
    return [
        *settings.launch.command('train', job.row.path, *arguments),
        *(['--resume'] if resume else []),
        *_dataset(settings),
        *settings.switches,
        *option_arguments(options),
    ]


def _start_of(job: Job) -> Path:
    start = job.start or job.folder
    try:
        return start.last_checkpoint()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{job.row.config} goes on from the run in {start.path}, which is not there: let that '
            'row run, too, or say --cfg-options load_from=FILE'
        ) from error


def _dataset(settings: Settings) -> list[str]:
    return [] if settings.dataset is None else ['--dataset', settings.dataset]


def tested_checkpoint(folder: RunFolder, kind: str) -> Path:
    """Return the checkpoint to test: the best if the config keeps one, else the last.

    Raises:
        FileNotFoundError: If there is no checkpoint.
    """
    try:
        return folder.checkpoint(kind)
    except FileNotFoundError:
        return folder.best_or_last()


def is_tested(folder: RunFolder, source: RunFolder, kind: str) -> bool:
    """Tell whether a row was tested with the checkpoint that would be tested now."""
    tested = wanted = folder.tested_with()
    try:
        wanted = tested_checkpoint(source, kind).name
    except FileNotFoundError:  # weights deleted to save space: the results are still valid
        pass
    return tested is not None and tested == wanted
