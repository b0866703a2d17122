"""A folder for a labelling tool: images to label, with what a model says about them."""

import os
import shlex
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from ...core.choices import LABEL_FORMATS as FORMATS
from ...core.files import PathLike, short_path, stem_below, write_bytes
from ...core.headers import shown_size
from ...core.words import check_choice, command, count_names
from ...datasets.folder import read_list
from ...datasets.stem_files import files_by_stem
from ..userdata.file import DataFile
from ..userdata.pairing import image_files
from .cvat import read_images, write_images
from .exchange import LabelNames, Predicted, Returned
from .label_studio import interface, make_task, read_tasks, write_tasks
from .offered import HeldOut, check_listable, check_namesakes

_PART = 'train'


@dataclass(frozen=True)
class ToLabel:
    """Images that wait for labels, all of one folder.

    Args:
        folder: The folder.
        names: Paths below it, with ``/``.
        held_out: Those left out because val or test has their pixels, and which of the two.
    """

    folder: Path
    names: tuple[str, ...]
    held_out: tuple[tuple[str, str], ...] = ()

    @property
    def paths(self) -> list[Path]:
        """The files."""
        return [self.folder / name for name in self.names]

    def stems(self, suffixes: Sequence[str]) -> list[str]:
        """The names without their ending."""
        return [stem_below(path, self.folder, suffixes) for path in self.paths]


def waiting_images(
    data: DataFile,
    *,
    folder: Optional[PathLike] = None,
    listed: Optional[PathLike] = None,
    by_pixels: bool = False,
) -> ToLabel:
    """List the images of a folder that have no mask in the training split; there may be none.

    Files that val or test hold, too, are left out.

    Args:
        data: The data set.
        folder: Of the images; without it that of the training split.
        listed: File of stems, of which only these are taken.
        by_pixels: Also leave out what is another file with the same pixels; it reads each image,
            which is much for a pool and little for what was chosen of it.

    Raises:
        FileNotFoundError: If there is no such folder, or the list names what is not in it.
        ValueError: If a name is that of another image in the training split, or cannot be listed.
    """
    where = data.part(_PART)
    place = Path(folder) if folder is not None else data.root / where['images']
    if not place.is_dir():
        raise FileNotFoundError(f'{place}: no such folder of images')
    images = image_files(data, place)
    check_listable(images)
    masks = files_by_stem(str(data.root / where['masks']), data.mask_suffix)
    there = files_by_stem(str(data.root / where['images']), data.image_suffix)
    for stem in there.keys() & images.keys():
        check_namesakes(data, stem, [there[stem], images[stem]])
    stems = list(images) if listed is None else read_list(listed)
    absent = [stem for stem in stems if stem not in images]
    if absent:
        raise FileNotFoundError(
            f'{listed} names {count_names("images", absent)} not in {place}: bring them back, or '
            'remove the names, or the whole list, which is then chosen anew'
        )
    held_out = HeldOut(data)
    waiting = [images[stem] for stem in dict.fromkeys(stems) if stem not in masks]
    waiting = [path for path in waiting if not held_out.has_file(path)]
    twins = held_out.twins(waiting) if by_pixels else {}

    def name(path: str) -> str:
        return Path(path).relative_to(place).as_posix()

    return ToLabel(
        place,
        tuple(name(path) for path in waiting if path not in twins),
        tuple((name(path), part) for path, part in twins.items()),
    )


def find_unlabelled(
    data: DataFile,
    *,
    folder: Optional[PathLike] = None,
    listed: Optional[PathLike] = None,
    by_pixels: bool = True,
) -> ToLabel:
    """List the images of a folder that have no mask, as :func:`waiting_images` does.

    Raises:
        FileNotFoundError: If there is no such folder, or the list names what is not in it.
        ValueError: If no image waits for labels.
    """
    found = waiting_images(data, folder=folder, listed=listed, by_pixels=by_pixels)
    if not found.names:
        where = listed if listed is not None else found.folder
        raise ValueError(
            f'{where}: no image waits for labels, all have masks or are of val or test'
        )
    return found


def without_predictions(images: ToLabel) -> Iterator[Predicted]:
    """The images with nothing to start from."""
    for name, path in zip(images.names, images.paths):
        yield Predicted(name, shown_size(path))


def export_project(
    data: DataFile,
    images: ToLabel,
    predicted: Iterable[Predicted],
    out: PathLike,
    *,
    kind: str = 'label-studio',
    version: str = '',
    root: Optional[PathLike] = None,
    back: Optional[str] = None,
) -> list[str]:
    """Write what a labelling tool imports.

    Args:
        data: Whose classes are painted.
        images: Where the images lie.
        predicted: The images, with masks to start from.
        out: Folder to write to.
        kind: Of ``FORMATS``.
        version: Name of the model that predicted.
        root: Folder above that of the images, which Label Studio serves; without it the next.
        back: Command that takes finished masks back; without it that of ``tools/label.py``.

    Returns:
        What to tell the user.

    Raises:
        ValueError: If the images do not lie in a folder below the root, or there is no such kind.
    """
    check_choice('--to', kind, FORMATS)
    out, names = Path(out), LabelNames.of(data)
    back = back or f'{command("label")} import {shlex.quote(str(short_path(data.path)))} FILE'
    if kind == 'cvat':
        number = write_images(out / 'annotations.xml', predicted, names)
        return [*_left_out(images), *_steps_of_cvat(number, images, out, back)]
    served, prefix = served_below(images.folder, root)
    write_bytes(out / 'interface.xml', interface(names).encode())
    tasks = (make_task(image, names, prefix=prefix, version=version) for image in predicted)
    number = write_tasks(out / 'tasks.json', tasks)
    return [*_left_out(images), *_steps_of_label_studio(number, images, served, out, back)]


def _left_out(images: ToLabel) -> list[str]:
    """What to tell of images that would be refused when their masks come back."""
    return [
        f'left out: {images.folder / name} has the pixels of an image of {part}, which is not to '
        'be trained on'
        for name, part in images.held_out
    ]


def served_below(folder: Path, root: Optional[PathLike] = None) -> tuple[Path, str]:
    """The folder that Label Studio serves, and the path of the images below it.

    Label Studio shows what a storage holds, and refuses a storage that is the root itself.

    Args:
        folder: Of the images.
        root: What is served; without it the folder above.

    Raises:
        ValueError: If the images do not lie in a folder below the root.
    """
    served = Path(root) if root is not None else folder.resolve().parent
    return served, _below(folder, served)


def _below(folder: Path, root: Path) -> str:
    inner = os.path.relpath(folder.resolve(), root.resolve()).replace(os.sep, '/')
    if inner in ('.', '..') or inner.startswith('../'):
        raise ValueError(f'{folder} is no folder below {root}: give another --root')
    return inner


def _steps_of_label_studio(
    number: int, images: ToLabel, root: Path, out: Path, back: str
) -> list[str]:
    place = shlex.quote(str(root.resolve()))
    return [
        f'{number} tasks: {short_path(out / "tasks.json")}',
        'start: LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true '
        f'LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={place} label-studio start',
        f'in a new project: paste {short_path(out / "interface.xml")} as labelling interface, add '
        f'local files of {images.folder.resolve()} as source storage, without syncing it, and '
        'import the tasks',
        f'when done, export as JSON: {back}',
    ]


def _steps_of_cvat(number: int, images: ToLabel, out: Path, back: str) -> list[str]:
    return [
        f'{number} images: {short_path(out / "annotations.xml")}',
        f'in a new task with these labels: upload the images of {short_path(images.folder)}, then '
        'the file as annotations, "CVAT 1.1"',
        f'when done, export as "CVAT for images 1.1": {back}',
    ]


def read_finished(path: PathLike, data: DataFile) -> Returned:
    """Read what a labelling tool exports: Label Studio's JSON, CVAT's XML or the zip that holds it.

    Raises:
        FileNotFoundError: If it is not there.
        ValueError: If it is another export, or of other classes.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file; give what the labelling tool exports')
    names = LabelNames.of(data)
    if _is_cvat(path):
        return read_images(path, names)
    return read_tasks(path, names)


def _is_cvat(path: Path) -> bool:
    if not zipfile.is_zipfile(path):
        return path.suffix.lower() == '.xml'
    with zipfile.ZipFile(path) as archive:
        inside = archive.namelist()
    own = ('annotations.xml', 'labelmap.txt')  # the latter: masks of CVAT, whose advice is its own
    return any(name in own for name in inside)
