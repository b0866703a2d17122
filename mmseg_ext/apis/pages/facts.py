"""Facts about a run: its settings and origin, the length of its training, and trivial baselines."""

from pathlib import Path
from typing import Optional

from ..config.written import written_length
from ..run.folder import RunFolder
from ..run.outcome.results import RunResults, converted_note
from .runs import RunFiles
from .verdict import shortfall

CONSTANT = 'one class everywhere'
COLOR = 'classifier of single colors'


def run_facts(run: RunFiles) -> dict[str, str]:
    """List the known facts about a run, by name.

    Args:
        run: A tested run. What its results do not say about the data is taken from its config.
    """
    results, dataset = run.results, run.results.described(run.cfg)
    size = dataset.num_images
    facts = {
        'config': results.config,
        'data set': dataset.name,
        'tested on': f'{dataset.split or "test"}, {size} images' if size else dataset.split,
        'starting weights': results.init,
        'converted weights': converted_note(results.converted),
        'seed': results.seed,
        'iterations': results.iterations,
        'training': training_note(run),
        'training time': _training_time(run),
        'hardware': results.hardware,
        'torch': results.torch,
        'stack': results.stack,
        'commit': _commit(results),
        'date': results.date,
        'checkpoint': results.checkpoint,
    }
    return {name: str(value) for name, value in facts.items() if value not in (None, '')}


def _commit(results: RunResults) -> Optional[str]:
    changed = ' with local changes' if results.dirty else ''
    return f'{results.commit[:12]}{changed}' if results.commit else None


def _training_time(run: RunFiles) -> Optional[str]:
    seconds, iterations = run.curves.get('time'), run.results.iterations
    if not seconds or not iterations:
        return None
    mean = sum(seconds.values()) / len(seconds)
    return f'{mean:.2f} s an iteration, {mean * iterations / 60:.1f} min in all'


def training_note(run: RunFiles) -> str:
    """Say that a run was trained for far less than its config asks for; else return ``''``.

    The length is taken from the package's config, because an option may have shortened the run's
    own. If the package has no config of this name, it is taken from the run's own.
    """
    trained = max([run.results.iterations or 0, *run.curves.get('loss', {})])
    scheduled = written_length(run.results.config or '')
    if scheduled is None:
        cfg = RunFolder(run.folder).training_config(run.results.config)
        scheduled = (cfg.get('train_cfg') or {}).get('max_iters') if cfg is not None else None
    return shortfall(trained, scheduled)


def find_baselines(run: RunFiles) -> dict[str, float]:
    """Compute the mIoU of one class everywhere and, on ``shapes``, of a classifier of colors."""
    baselines = {}
    constant = run.results.constant_miou()
    if constant is not None:
        baselines[CONSTANT] = constant
    dataset = run.cfg.test_dataloader.dataset if run.cfg is not None else {}
    if 'shapes' in str(dataset.get('type', '')).lower() and Path(dataset['data_root']).is_dir():
        from ...datasets.shapes_baselines import color_classifier_miou

        baselines[COLOR] = float(color_classifier_miou(dataset['data_root']))
    return baselines
