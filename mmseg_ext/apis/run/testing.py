"""Test a config with a checkpoint: what ``tools/test.py`` does, callable from Python."""

from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config
from mmengine.dist import is_main_process
from mmengine.runner import Runner

from ...core.files import PathLike
from ...core.progress import is_quiet, results_shown
from ...core.semi_weights import networks_in, weights_of_network
from ...engine import lost_process
from ...evaluation import DetailMetric
from ..config.classes import check_num_classes
from ..config.metrics import metrics_of
from ..config.packages import check_packages
from ..config.semi import is_semi, use_plain
from .checkpoints import check_classes, check_weights, read_checkpoint, weights_of
from .config import explained
from .folder import RunFolder
from .guard import guarded
from .image_names import name_images, name_outputs
from .lean import lean
from .network.settings import check_settings
from .options import process_limit
from .outcome.facts import complete_results
from .outcome.tables import drop_details, write_details, write_tables
from .threshold import threshold_of_val
from .training import build_runner


def test(cfg: Config, checkpoint: Optional[PathLike] = None) -> dict:
    """Test, and write ``results.json`` and ``per_image.npz`` into the work folder.

    If the folder contains the config of a training, that file stays, and the config of the test is
    written to ``tested_<config>.py``.

    ``images.csv``, ``confusions.csv`` and, of grouped images, ``volumes.csv`` have the scores as
    text. A ``DetailMetric`` adds ``details.json`` and CSV files of its own.

    A ``SegMetric`` with a prefix, such as one for the scores before a CRF, writes a file of its
    own, ``results_<prefix>.json``. Its means and those of other metrics are also added to
    ``results.json``.

    Example::

        cfg = apis.load_config('configs/mfp/mfp_mobilenetv2_camvid.py')
        apis.test(cfg)['mIoU']                 # with the best checkpoint of cfg.work_dir

    Args:
        cfg: From :func:`load_config`.
        checkpoint: Checkpoint to test. ``None`` takes the best one in ``cfg.work_dir``, or the last
            one if there is no best one; of a semi-supervised or adversarial run always the last.

    Returns:
        The scores from the evaluator, in per cent.

    Raises:
        FileNotFoundError: If there is no checkpoint.
        ValueError: If the checkpoint belongs to another model.
    """
    folder = RunFolder.of(cfg)
    cfg.load_from = str(checkpoint or _reported(folder, cfg))
    cfg.resume = False
    use_plain(cfg)
    check_packages(cfg.model)
    summary, ours = folder.results_file(), False
    for metric in metrics_of(cfg):
        files = folder.result_files(metric)
        for key, path in files.items():
            metric.setdefault(key, path)
        if files and not metric.get('prefix'):
            summary, ours = Path(metric['summary_file']), True
    dumped = folder.dumped_name(cfg)
    drawn = cfg.get('visualizer', {}).get('save_dir')
    with guarded(cfg, drawn, shared=True, dumped=dumped):
        runner = build_runner(cfg, dumped=dumped)
        _check_tested(runner, cfg)
        pack_groups(runner.test_dataloader.dataset)
        name_images(runner.test_loop.evaluator.metrics, runner.test_dataloader.dataset)
        name_outputs(runner)
        with explained(cfg, 'the test fails'), lost_process.named(process_limit(cfg)):
            with results_shown(), lean(runner, cfg):
                metrics = runner.test()
        if is_main_process():
            _print_means(metrics)
            done = complete_results(
                summary,
                cfg,
                cfg.load_from,
                metrics,
                ours=ours,
                calibration=_calibration(runner),
                intervals=_intervals(runner),
            )
            write_tables(folder, done)
        _write_details(runner, cfg, folder)
    return metrics


def _print_means(metrics: dict) -> None:
    """Print the scores if quiet keeps the log's last line, which has them, off the screen."""
    if is_quiet():
        print(', '.join(f'{name} {value:.2f}' for name, value in metrics.items()), flush=True)


def _reported(folder: RunFolder, cfg: Config) -> Path:
    """Choose the checkpoint whose scores are reported.

    With few labels, the best one on validation images owes too much to chance, or to labels that
    are more than the training has.
    """
    trained = folder.training_config(Path(cfg.filename).stem if cfg.filename else None)
    semi = is_semi(cfg.get('model')) or (trained is not None and is_semi(trained.get('model')))
    return folder.last_checkpoint() if semi else folder.best_or_last()


def chosen_checkpoint(folder: RunFolder, cfg: Config) -> Path:
    """Return the checkpoint of a run that was tested, or else the one that a test would take.

    Raises:
        FileNotFoundError: If the run has none.
    """
    tested = folder.tested_with()
    if tested and (folder.weights / tested).is_file():
        return folder.weights / tested
    return _reported(folder, cfg)


def _check_tested(runner: Runner, cfg: Config) -> None:
    """Refuse a checkpoint of another model or other classes; select the network to test."""
    checkpoint = cfg.load_from
    content = read_checkpoint(checkpoint)
    given = weights_of(content, checkpoint)
    state = weights_of_network(given, checkpoint)
    check_weights(runner.model, checkpoint, complete=True, state=state)
    check_settings(cfg.model, content.get('meta'), checkpoint)
    known = getattr(runner.test_dataloader.dataset, 'metainfo', None) or {}
    check_classes(content.get('meta'), known.get('classes'), checkpoint)
    check_num_classes(runner.model, cfg, 'test')
    for network in networks_in(given)[:1]:
        runner.logger.info(f'{checkpoint} holds several networks: its {network} is tested')
        keys = [(r'^module\.', ''), (rf'^{network}\.', '')]
        runner.load_checkpoint(str(checkpoint), revise_keys=keys)


def pack_groups(dataset: Any) -> None:
    """Pass the ``group`` of each sample, such as the patient, on to the metrics.

    Args:
        dataset: A built data set. It is changed in place: every packing step of its pipeline also
            packs ``group`` if the sample has one.
    """
    steps = list(getattr(getattr(dataset, 'pipeline', None), 'transforms', ()))
    while steps:
        step = steps.pop()
        if isinstance(step, (list, tuple)):
            steps += step
        elif hasattr(step, 'meta_keys'):
            step.meta_keys = tuple(dict.fromkeys((*step.meta_keys, 'group')))
        else:  # a composition, or test-time augmentation
            for inner in ('transforms', 'subroutines'):
                found = getattr(step, inner, ())
                steps += found if isinstance(found, (list, tuple)) else [found]


def _calibration(runner: Runner) -> Optional[dict]:
    """Return the calibration, if a metric of the test measures it."""
    metrics = runner.test_loop.evaluator.metrics
    return next((m.calibration for m in metrics if hasattr(m, 'calibration')), None)


def _write_details(runner: Runner, cfg: Config, folder: RunFolder) -> None:
    """Write what a ``DetailMetric`` counted, with a threshold from the validation images."""
    metrics = runner.test_loop.evaluator.metrics
    metric = next((one for one in metrics if isinstance(one, DetailMetric)), None)
    if metric is None:
        if is_main_process():
            drop_details(folder)
        return
    chosen, why = None, ''
    if 'scores' in metric.counts:
        chosen, why = threshold_of_val(runner, cfg)
    if is_main_process():
        write_details(folder, metric.summary(chosen), why)


def _intervals(runner: Runner) -> dict:
    """Return the interval of each score, by the name that the evaluator gives to the score."""
    found: dict = {}
    for metric in runner.test_loop.evaluator.metrics:
        prefix = f'{metric.prefix}/' if metric.prefix else ''
        found.update(
            {prefix + name: ends for name, ends in getattr(metric, 'intervals', {}).items()}
        )
    return found
