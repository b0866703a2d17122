"""Name every file of a run's work folder, and read what they contain. Nothing is written here.

Training writes ``<config>.py``, curves and checkpoints. Testing writes ``results.json`` and the
counts. Prediction writes ``predictions/``. ``core/saved.py`` knows the names of checkpoints.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from mmengine.config import Config

from ...core.files import PathLike
from ...core.saved import (
    Resumable,
    best_checkpoint,
    best_files,
    best_or_last,
    final_name,
    find_resumable,
    last_checkpoint,
    regular_checkpoints,
)
from ..config.metrics import takes
from ..config.reading import read_config
from .outcome.check import NEEDED
from .outcome.listing import LISTING
from .outcome.results import RunResults

_TESTED = 'tested_'  # prefix for the config of a test if the config of a training is there too


@dataclass(frozen=True)
class RunFolder:
    """A work folder and the checkpoints of its run.

    Example::

        RunFolder('work_dirs/a').results().metrics['mIoU'].value

    Args:
        path: The folder; it need not exist yet.
        weights: Folder of the run's checkpoints; ``path`` by default.
    """

    path: Path
    weights: Path

    def __init__(self, path: PathLike, weights: Optional[PathLike] = None) -> None:
        object.__setattr__(self, 'path', Path(path))
        object.__setattr__(self, 'weights', Path(path if weights is None else weights))

    @classmethod
    def of(cls, cfg: Config, path: Optional[PathLike] = None) -> 'RunFolder':
        """Return the work folder of a config's run, with the folder of its checkpoints.

        Args:
            cfg: The config; its ``work_dir`` is the folder.
            path: Folder to use instead of ``work_dir``.
        """
        folder = Path(cfg.work_dir if path is None else path)
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        out = hook.get('out_dir')  # mmengine appends the name of the work folder
        return cls(folder, None if out is None else Path(out, folder.name))

    def results_file(self, prefix: Optional[str] = None) -> Path:
        """Return the file of the test's scores; a metric with a prefix has a file of its own."""
        return self.path / (f'results_{prefix}.json' if prefix else 'results.json')

    def counts_file(self, prefix: Optional[str] = None) -> Path:
        """Return the file of each image's pixel counts, as for :meth:`results_file`."""
        return self.path / (f'per_image_{prefix}.npz' if prefix else 'per_image.npz')

    def result_files(self, metric: dict) -> dict[str, str]:
        """Choose the files that a metric writes; empty for metrics that write no results.

        The metric without a prefix writes the results of the run. A metric with a prefix has files
        of its own.

        Args:
            metric: Settings of the metric, with their ``type``.

        Returns:
            Path of each file, by the metric's argument for it.
        """
        if not takes(metric, 'summary_file'):
            return {}
        prefix = metric.get('prefix')
        files = dict(
            summary_file=self.results_file(prefix),
            per_image_file=self.counts_file(prefix),
            table_file=self.table_file('images', prefix),
        )
        return {key: str(path) for key, path in files.items() if takes(metric, key)}

    def table_file(self, name: str, prefix: Optional[str] = None) -> Path:
        """Return a file of the numbers of a test as text, named as for :meth:`results_file`."""
        return self.path / (f'{name}_{prefix}.csv' if prefix else f'{name}.csv')

    @property
    def details_file(self) -> Path:
        """Errors by object size and by distance to a border, and threshold curves."""
        return self.path / 'details.json'

    @property
    def worst(self) -> Path:
        """Folder of the predictions of the worst test images."""
        return self.path / 'worst'

    @property
    def surface_file(self) -> Path:
        """HD95 and surface Dice of each image."""
        return self.path / 'per_image_surface.npz'

    @property
    def calibration_file(self) -> Path:
        """Confidence histogram of each image."""
        return self.path / 'per_image_calibration.npz'

    @property
    def cost_file(self) -> Path:
        """Parameters, FLOPs and latency of the network."""
        return self.path / 'cost.json'

    @property
    def predictions(self) -> Path:
        """Folder of predicted masks and pictures."""
        return self.path / 'predictions'

    @property
    def listing_file(self) -> Path:
        """List of the predictions."""
        return self.predictions / LISTING

    @property
    def page_file(self) -> Path:
        """The page about the run."""
        return self.path / 'report.html'

    @property
    def average(self) -> Path:
        """Folder of the averaged predictions of a cross validation's models."""
        return self.path / 'average'

    @property
    def folds_file(self) -> Path:
        """Summary of a cross validation."""
        return self.path / 'kfold.json'

    @property
    def plan_file(self) -> Path:
        """Settings of a cross validation."""
        return self.path / 'kfold_plan.json'

    @property
    def split_file(self) -> Path:
        """How the images of a fold were chosen."""
        return self.path / 'split.json'

    @property
    def row_file(self) -> Path:
        """The table row that ran in this folder."""
        return self.path / 'table_row.json'

    @property
    def job_file(self) -> Path:
        """The Slurm job that runs in this folder."""
        return self.path / 'slurm_job.txt'

    def log_file(self, step: str) -> Path:
        """Return the log file of a tool, ``train`` or ``test``."""
        return self.path / f'{step}.log'

    def curve_files(self) -> list[Path]:
        """Return the curve files of all trainings in this folder; the latest comes last."""
        found = sorted(self.path.glob('*/vis_data/scalars.json'))
        return [*found, *self.path.glob('vis_data/scalars.json')]

    def fold(self, number: int) -> 'RunFolder':
        """Return the work folder of a fold of a cross validation."""
        name = f'fold{number}'
        elsewhere = self.weights != self.path
        return RunFolder(self.path / name, self.weights.parent / name if elsewhere else None)

    def tested_folds(self) -> list['RunFolder']:
        """Return the folds that have results, in order."""
        found = self.path.glob(f'fold*/{self.results_file().name}')
        names = [path.parent.name.removeprefix('fold') for path in found]
        return [self.fold(number) for number in sorted(int(n) for n in names if n.isdigit())]

    def best_checkpoint(self) -> Path:
        """See :func:`mmseg_ext.core.saved.best_checkpoint`."""
        return best_checkpoint(self.weights)

    def last_checkpoint(self) -> Path:
        """See :func:`mmseg_ext.core.saved.last_checkpoint`."""
        return last_checkpoint(self.weights)

    def best_or_last(self) -> Path:
        """See :func:`mmseg_ext.core.saved.best_or_last`."""
        return best_or_last(self.weights)

    def resumable(self) -> Resumable:
        """See :func:`mmseg_ext.core.saved.find_resumable`."""
        return find_resumable(self.weights)

    def checkpoint(self, kind: str) -> Path:
        """Return the best or the last checkpoint.

        Args:
            kind: ``'best'`` or ``'last'``.

        Raises:
            FileNotFoundError: If there is no such checkpoint.
        """
        return self.last_checkpoint() if kind == 'last' else self.best_checkpoint()

    def is_trained(self, cfg: Config) -> bool:
        """Say whether the final checkpoint is whole and its validation, if any, is finished.

        The last checkpoint of a run that early stopping has ended is final, too.
        """
        loop, name = cfg.train_cfg, final_name(cfg.train_cfg)
        found = self.resumable()
        if found.path is None or (found.path.name != name and not found.stopped):
            return False
        last = loop.get('max_iters') or loop.get('max_epochs')
        due = cfg.get('val_cfg') is not None and loop.get('val_begin', 1) <= last
        return not due or found.validated == found.iteration

    def is_half_trained(self, cfg: Config) -> bool:
        """Say whether a training was started but not finished, so that a test is no result yet."""
        loop = cfg.get('train_cfg') or {}
        found = self.resumable()
        if found.path is None or 'max_iters' not in loop:
            return False  # weights deleted to save space, or a loop over epochs
        return found.iteration < loop['max_iters'] and not found.stopped

    def holds_training(self) -> bool:
        """Say whether the folder contains a curve or a checkpoint of a training."""
        saved = regular_checkpoints(self.weights) or best_files(self.weights)
        return bool(saved or self.curve_files())

    def tested_with(self) -> Optional[str]:
        """Return the name of the tested checkpoint; ``None`` if the test is not finished.

        A damaged results file counts as a test that is not finished.
        """
        try:
            return RunResults.read(self.results_file(), needed=()).checkpoint
        except (FileNotFoundError, ValueError):
            return None

    def results(self) -> RunResults:
        """Read the results of the test; intervals of an older kind are computed again from counts.

        Raises:
            FileNotFoundError: If the run was not tested.
            ValueError: If the file lacks an entry that a report needs.
        """
        return self._read_results(NEEDED)

    def scores(self) -> RunResults:
        """Read the results of any metric, of which only the means are required.

        Raises:
            FileNotFoundError: If the run was not tested.
            ValueError: If the file is damaged.
        """
        return self._read_results(('metrics',))

    def _read_results(self, needed: tuple[str, ...]) -> RunResults:
        path = self.results_file()
        if not path.is_file():
            raise FileNotFoundError(
                f'{path} does not exist; test the run first: '
                f'python tools/test.py CONFIG CHECKPOINT --work-dir {self.path}'
            )
        counts = self.counts_file() if needed == NEEDED else None
        return RunResults.read(path, counts=counts, needed=needed)

    def dumped_name(self, cfg: Config) -> Optional[str]:
        """Return the file name for the config of a test; ``None`` means the config's own name.

        The config of a training is not overwritten.
        """
        name = Path(cfg.filename or 'config.py').name
        there = (self.path / name).is_file() and self.holds_training()
        return f'{_TESTED}{name}' if there else None

    def tested_config(self, name: Optional[str]) -> Optional[Config]:
        """Load the config of the test, or else any config in the folder; ``None`` without one.

        Args:
            name: Name of the config, as in the results.
        """
        return self._config(f'{_TESTED}{name}.py', f'{name}.py')

    def training_config(self, name: Optional[str]) -> Optional[Config]:
        """Load the config of the last training, or else any config; ``None`` without one.

        Args:
            name: As for :meth:`tested_config`.
        """
        for log in reversed(self.curve_files()):
            if log.with_name('config.py').is_file():
                return read_config(log.with_name('config.py'))
        return self._config(f'{name}.py')

    def _config(self, *names: str) -> Optional[Config]:
        others = sorted(self.path.glob('*.py'), key=lambda path: path.name.startswith(_TESTED))
        for path in [*(self.path / name for name in names), *others]:
            if path.is_file():
                return read_config(path)
        return None
