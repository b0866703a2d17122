"""Write one HTML page about one or several finished runs.

Everything is read from the work folders: ``results.json`` (testing), ``*/vis_data/scalars.json``
(training), ``predictions/predictions.json`` (predicting) and the config that mmengine left there.
What is absent is left out of the page; only ``results.json`` is required.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from ...core.files import PathLike, write_bytes
from ...core.labels import voc_palette
from ..draw.curves import Curve, read_curves
from ..draw.html import page
from ..run.folder import (
    Example,
    constant_miou,
    converted_note,
    describe_dataset,
    find_config,
    read_examples,
    read_results,
)
from . import run_sections as parts

CONSTANT = 'one class everywhere'
COLOR = 'classifier of single colors'


@dataclass
class Run:
    """What a work folder holds."""

    folder: Path
    results: dict[str, Any]
    cfg: Optional[Config] = None
    curves: dict[str, Curve] = field(default_factory=dict)
    baselines: dict[str, float] = field(default_factory=dict)
    examples: list[Example] = field(default_factory=list)
    palette: list[list[int]] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        """Class names in order of their index."""
        return list(self.results['per_class']['IoU'])


def find_baselines(results: dict, cfg: Optional[Config]) -> dict[str, float]:
    """Score what needs no network: a constant and, on ``shapes``, a classifier of colors."""
    baselines = {}
    constant = constant_miou(results['confusion'])
    if constant is not None:
        baselines[CONSTANT] = constant
    dataset = cfg.test_dataloader.dataset if cfg is not None else {}
    if 'shapes' in str(dataset.get('type', '')).lower():
        from ...datasets.shapes_baselines import color_classifier_miou

        if Path(dataset['data_root']).is_dir():
            baselines[COLOR] = float(color_classifier_miou(dataset['data_root']))
    return baselines


def read_run(work_dir: PathLike) -> Run:
    """Gather everything that a report shows about one run.

    Raises:
        FileNotFoundError: If the run was not tested.
    """
    results = read_results(work_dir)
    cfg = find_config(work_dir, results)
    examples, palette = read_examples(work_dir, cfg)
    num_classes = len(results['per_class']['IoU'])
    return Run(
        folder=Path(work_dir),
        results=results,
        cfg=cfg,
        curves=read_curves(work_dir),
        baselines=find_baselines(results, cfg),
        examples=examples,
        palette=palette or voc_palette(num_classes),
    )


def _facts(run: Run) -> dict[str, Any]:
    results, dataset = run.results, describe_dataset(run.results, run.cfg)
    commit = results.get('commit')
    if commit and results.get('dirty'):
        commit = f'{commit} with local changes'
    seconds = run.curves.get('time', {})
    iterations = results.get('iterations')
    trained = None
    if seconds and iterations:
        mean = sum(seconds.values()) / len(seconds)
        trained = f'{mean:.2f} s an iteration, {mean * iterations / 60:.1f} min in all'
    size = dataset.get('num_images')
    return {
        'config': results.get('config'),
        'data set': dataset.get('name'),
        'tested on': f'{dataset.get("split") or "test"}, {size} images' if size else None,
        'starting weights': results.get('init'),
        'converted weights': converted_note(results.get('converted')),
        'seed': results.get('seed'),
        'iterations': iterations,
        'training time': trained,
        'hardware': results.get('hardware'),
        'torch': results.get('torch'),
        'commit': commit,
        'date': results.get('date'),
        'checkpoint': results.get('checkpoint'),
    }


def _run_body(run: Run, *, heading: bool) -> str:
    results = run.results
    colors = dict(zip(run.classes, run.palette))
    note = 'Chosen by their place in the list, not by their result.'
    body = [
        parts.headline(results['metrics'], run.baselines, results.get('intervals')),
        parts.examples_section(run.examples, run.classes, run.palette, note),
        parts.training(run.curves, run.baselines.get(CONSTANT)),
        parts.class_bars(
            results['per_class']['IoU'],
            colors,
            (results.get('per_class_intervals') or {}).get('IoU') or {},
        ),
        parts.confusion_table(results['confusion'], run.classes),
        parts.metrics_table(results['metrics'], results.get('intervals')),
        parts.facts(_facts(run)),
    ]
    title = f'<h2>{parts.escape(_name(run))}</h2>\n' if heading else ''
    return title + '\n'.join(part for part in body if part)


def _name(run: Run) -> str:
    return str(run.results.get('config') or run.folder.name)


def write_report(
    work_dirs: Union[PathLike, Sequence[PathLike]], out: PathLike, *, title: Optional[str] = None
) -> Path:
    """Write the report of one or several runs as one file that needs no other.

    Args:
        work_dirs: Folders of tested runs.
        out: The HTML file; overwritten.
        title: Heading of the page; derived from the runs if not given.

    Returns:
        The path of the file.

    Raises:
        FileNotFoundError: If a run was not tested.
        ValueError: If its results lack what a report needs, or there is no run.
    """
    if isinstance(work_dirs, (str, Path)):
        work_dirs = [work_dirs]
    if not work_dirs:
        raise ValueError('a report needs at least one work folder')
    runs = [read_run(folder) for folder in work_dirs]
    several = len(runs) > 1
    metrics = [
        (f'{_name(run)} in {run.folder}', run.results['metrics'], run.results.get('intervals'))
        for run in runs
    ]
    body = parts.comparison(metrics) + '\n'.join(_run_body(run, heading=several) for run in runs)
    title = title or (f'{len(runs)} runs' if several else _name(runs[0]))
    dataset = describe_dataset(runs[0].results, runs[0].cfg)
    lead = f'Semantic segmentation, {dataset.get("name") or "unknown data"}'
    footer = f'Written by mmseg_ext from {", ".join(str(run.folder) for run in runs)}.'
    content = page(title=title, lead=lead, body=body, footer=footer)
    return write_bytes(out, content.encode('utf-8'))
