"""The page section of the worst test images, with their predictions if these were made."""

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

from ...core.files import PathLike, name_below
from ...core.labels import background_of
from ...evaluation.image_table import image_scores, worst_first
from ..draw.blocks import Cell, Color, Examples, Line, Note, Section, Table, plain, section
from ..run.folder import RunFolder
from ..run.image_names import image_folders
from ..run.outcome.examples import load_truth, test_dataset
from .examples import SharedExample, ensure_predictions, predicted_masks, shared_example
from .numbers import percent
from .run_sections import show_example
from .runs import RunFiles, read_run
from .score_sections import Rows

NUM_WORST = 6
_LISTED = 12


def worst_images(run: RunFiles, count: int) -> list[Path]:
    """Return the files of the worst test images, the worst first.

    Empty if the run has no counts of each image, or its images share names.

    Raises:
        FileNotFoundError: If its data are missing.
        ValueError: If the work folder holds no config.
    """
    if run.counts is None or run.cfg is None or _share_names(run):
        return []
    dataset = test_dataset(run.cfg)
    paths = [Path(dataset.get_data_info(place)['img_path']) for place in range(len(dataset))]
    by_name = {path.name: path for path in paths}  # as older tests recorded them
    folders = image_folders(dataset)
    by_name |= {name_below(path, folders): path for path in paths}
    order = worst_first(run.counts.rows, absent=run.results.absent_policy)[:count]
    names = [str(run.counts.names[place]) for place, _ in order]
    return [by_name[name] for name in names if name in by_name]


def ensure_worst(work_dir: PathLike, count: int = NUM_WORST) -> int:
    """Predict the worst test images of a run into its folder ``worst``.

    Returns:
        How many of them had no prediction yet.

    Raises:
        FileNotFoundError: If the run was not tested, or its checkpoint or data are missing.
        ValueError: If the work folder holds no config, or the checkpoint is of another model.
    """
    images = worst_images(read_run(work_dir), count)
    return ensure_predictions(work_dir, images, RunFolder(work_dir).worst)


def worst(rows: Rows, palette: Sequence[Color]) -> Optional[Section]:
    """List the worst images of a single run, and show those that were predicted.

    An image is scored by the mean IoU over the classes that it or its prediction holds.
    """
    run = rows[0].runs[0] if len(rows) == len(rows[0].runs) == 1 else None
    if run is None or run.counts is None:
        return None
    order = worst_first(run.counts.rows, absent=run.results.absent_policy)[:_LISTED]
    scores = image_scores(run.counts.rows, absent=run.results.absent_policy)
    groups, lines = run.counts.groups, []
    for place, score in order:
        group = [] if groups is None else [str(groups[place])]
        texts = [percent(score), percent(float(scores['aAcc'][place])), *group]
        cells = plain(*texts)
        lines.append(Line(Cell(str(run.counts.names[place])), cells))
    note = Note(
        'By the mean IoU over the classes that an image or its prediction holds. All images are in '
        'images.csv of a test by this version or a later one.'
    )
    shown = _pictures(run)
    clear = background_of(run.classes)
    parts = [show_example(one, rows, run.classes, palette, clear, 480) for one in shown]
    head = ['image', 'mIoU', 'pixels right', *([] if groups is None else ['group'])]
    return section(
        'The worst images',
        note,
        Table(head, lines, 'worst images'),
        Examples(parts) if parts else Note(_why_not_shown(run)),
    )


def _share_names(run: RunFiles) -> bool:
    """Tell whether a test recorded two images under one name: an older one, without folders."""
    names = [] if run.counts is None else run.counts.names.tolist()
    return len(set(names)) < len(names)


def _why_not_shown(run: RunFiles) -> str:
    if _share_names(run):
        return 'Some images share their file names, and this test kept no folders: test again.'
    return 'report.py --complete shows them.'


def _pictures(run: RunFiles) -> list[SharedExample]:
    """Read the worst images that were predicted, the worst first."""
    masks, _ = predicted_masks(RunFolder(run.folder).worst)
    if not masks or run.cfg is None:
        return []
    try:
        images = [str(path.absolute()) for path in worst_images(run, NUM_WORST)]
        images = [image for image in images if image in masks]
        truths = load_truth(run.cfg, images)
    except (OSError, ValueError):  # the data have moved
        return []
    return [shared_example(image, truths.get(image), {0: masks}) for image in images]
