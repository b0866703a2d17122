"""What a test calls its images: in records, in masks and in drawings."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mmengine.runner import Runner
from mmseg.engine.hooks import SegVisualizationHook

from ...core.files import output_names


def image_folders(dataset: Any) -> tuple[str, ...]:
    """List the folders that hold the images of a built data set, and of those that it joins."""
    return tuple(dict.fromkeys(_folders(dataset)))


def _folders(dataset: Any) -> Iterator[str]:
    for part in (getattr(dataset, 'dataset', None), *(getattr(dataset, 'datasets', None) or ())):
        if part is not None:
            yield from _folders(part)
    folder = (getattr(dataset, 'data_prefix', None) or {}).get('img_path')
    if folder:
        yield str(folder)


def name_images(metrics: Iterable[Any], dataset: Any) -> None:
    """Let metrics record images by their path below the data set's folders.

    Images of two patients may share a file name.

    Args:
        metrics: Built metrics; those without ``image_folders`` are left as they are.
        dataset: The built data set that they are to score.
    """
    folders = image_folders(dataset)
    for metric in metrics:
        if hasattr(metric, 'image_folders'):
            metric.image_folders = folders


def name_outputs(runner: Runner) -> None:
    """Give masks and drawings distinct names if images share a name but not folder or suffix.

    Args:
        runner: Runner of a test.
    """
    metrics = [m for m in runner.test_loop.evaluator.metrics if getattr(m, 'output_dir', None)]
    hooks = [h for h in runner.hooks if isinstance(h, SegVisualizationHook) and h.draw]
    if not metrics and not hooks:
        return
    dataset = runner.test_dataloader.dataset
    paths = [dataset.get_data_info(index)['img_path'] for index in range(len(dataset))]
    if len({Path(path).stem for path in paths}) == len(paths):
        return
    names = dict(zip(paths, map(str, output_names([Path(path) for path in paths]))))
    for metric in metrics:
        metric.output_names = names
    for hook in hooks:
        hook._visualizer = _Named(hook._visualizer, names)


class _Named:
    """A visualizer that draws into the folders of the masks; mmseg's hook knows file names only."""

    def __init__(self, visualizer: Any, names: dict[str, str]) -> None:
        self._visualizer, self._names = visualizer, names

    def __getattr__(self, name: str) -> Any:
        return getattr(self._visualizer, name)

    def add_datasample(self, name: str, image: Any, data_sample: Any, **how: Any) -> None:
        name = str(Path(self._names[data_sample.img_path]).with_name(name))
        for backend in self._visualizer._vis_backends.values():
            backend.experiment  # noqa: B018  makes its folders
            folder = getattr(backend, '_img_save_dir', None)
            if folder is not None:  # into a missing one it would write nothing, without a word
                (Path(folder) / name).parent.mkdir(parents=True, exist_ok=True)
        self._visualizer.add_datasample(name, image, data_sample, **how)
