"""A run's work folder: the name of every file in it, and what the files say. Nothing is written.

``results.json`` and the counts come from testing, ``<config>.py``, curves and checkpoints from
training, ``predictions/`` from predicting into it. Names of checkpoints: ``core/saved.py``.
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

_TESTED = 'tested_'  # before the name of a test's config where the training's keeps its own


@dataclass(frozen=True)
class RunFolder:
    """A work folder.

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
        """Return the folder of a config's run, and where the config puts its checkpoints.

        Args:
            cfg: Names the folder by its ``work_dir``.
            path: Another folder to take instead.
        """
        folder = Path(cfg.work_dir if path is None else path)
        hook = (cfg.get('default_hooks') or {}).get('checkpoint') or {}
        out = hook.get('out_dir')  # mmengine adds the name of the work folder
        return cls(folder, None if out is None else Path(out, folder.name))

    def results_file(self, prefix: Optional[str] = None) -> Path:
        """Scores of the test; a second metric, with a prefix, has a file of its own."""
        return self.path / (f'results_{prefix}.json' if prefix else 'results.json')

    def counts_file(self, prefix: Optional[str] = None) -> Path:
        """Counts of each image of the test, as for :meth:`results_file`."""
        return self.path / (f'per_image_{prefix}.npz' if prefix else 'per_image.npz')

    def result_files(self, metric: dict) -> dict[str, str]:
        """Where a metric that writes the results of a run is to write; empty for any other.

        Of several, the one without a prefix is the run's; the others have files of their own.

        Args:
            metric: Settings with their ``type``.

        Returns:
            Argument of the metric to path.
        """
        if not takes(metric, 'summary_file'):
            return {}
        prefix = metric.get('prefix')
        files = dict(
            summary_file=self.results_file(prefix), per_image_file=self.counts_file(prefix)
        )
        return {key: str(path) for key, path in files.items() if takes(metric, key)}

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
        """Folder of what the averaged models of a cross validation predict."""
        return self.path / 'average'

    @property
    def folds_file(self) -> Path:
        """Summary of a cross validation."""
        return self.path / 'kfold.json'

    @property
    def plan_file(self) -> Path:
        """How the folds of a cross validation are run."""
        return self.path / 'kfold_plan.json'

    @property
    def split_file(self) -> Path:
        """How the images of a fold were chosen."""
        return self.path / 'split.json'

    @property
    def row_file(self) -> Path:
        """Which row of a table ran here."""
        return self.path / 'table_row.json'

    @property
    def job_file(self) -> Path:
        """The job of Slurm that runs here."""
        return self.path / 'slurm_job.txt'

    def log_file(self, step: str) -> Path:
        """What a tool, ``train`` or ``test``, has printed."""
        return self.path / f'{step}.log'

    def curve_files(self) -> list[Path]:
        """Curves of each training, the latest last."""
        found = sorted(self.path.glob('*/vis_data/scalars.json'))
        return [*found, *self.path.glob('vis_data/scalars.json')]

    def fold(self, number: int) -> 'RunFolder':
        """A fold of a cross validation."""
        name = f'fold{number}'
        elsewhere = self.weights != self.path
        return RunFolder(self.path / name, self.weights.parent / name if elsewhere else None)

    def tested_folds(self) -> list['RunFolder']:
        """The folds that have results, in order."""
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
        """The best or the last checkpoint.

        Args:
            kind: ``'best'`` or ``'last'``.

        Raises:
            FileNotFoundError: If there is none.
        """
        return self.last_checkpoint() if kind == 'last' else self.best_checkpoint()

    def is_trained(self, cfg: Config) -> bool:
        """Whether the last checkpoint of the schedule is there, whole, and its validation done."""
        loop, name = cfg.train_cfg, final_name(cfg.train_cfg)
        if not (self.weights / name).is_file():
            return False
        found = self.resumable()
        if found.path is None or found.path.name != name:
            return False
        last = loop.get('max_iters') or loop.get('max_epochs')
        due = cfg.get('val_cfg') is not None and loop.get('val_begin', 1) <= last
        return not due or found.validated == found.iteration

    def is_half_trained(self, cfg: Config) -> bool:
        """Whether a training has begun and has iterations left; a test of it is no result yet."""
        loop = cfg.get('train_cfg') or {}
        found = self.resumable()
        if found.path is None or 'max_iters' not in loop:
            return False  # the weights were deleted to save space, or it counts epochs
        return found.iteration < loop['max_iters']

    def holds_training(self) -> bool:
        """Whether a training has left a curve or a checkpoint."""
        saved = regular_checkpoints(self.weights) or best_files(self.weights)
        return bool(saved or self.curve_files())

    def tested_with(self) -> Optional[str]:
        """Name of the checkpoint that was tested, ``None`` if the test is not done.

        A damaged file is a test to be done again.
        """
        try:
            return RunResults.read(self.results_file(), needed=()).checkpoint
        except (FileNotFoundError, ValueError):
            return None

    def results(self) -> RunResults:
        """Read the results of the test; older intervals are computed again from the counts.

        Raises:
            FileNotFoundError: If the run was not tested.
            ValueError: If the file lacks what a report needs.
        """
        return self._read_results(NEEDED)

    def scores(self) -> RunResults:
        """As :meth:`results`, but of any metric: only the means need be there.

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
        """Name under which a test leaves its config, ``None`` if it is the config's own.

        That of a training stays as it is.
        """
        name = Path(cfg.filename or 'config.py').name
        there = (self.path / name).is_file() and self.holds_training()
        return f'{_TESTED}{name}' if there else None

    def tested_config(self, name: Optional[str]) -> Optional[Config]:
        """Load the config of the test, if it is there, else another that the folder holds.

        Args:
            name: Of the config, as the results say it.
        """
        return self._config(f'{_TESTED}{name}.py', f'{name}.py')

    def training_config(self, name: Optional[str]) -> Optional[Config]:
        """Load the config of the last training, if it is there, else another.

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
