"""Images without masks of a user's data, and labelled images that are among them."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ...core.files import stem_below
from ...datasets.folder import read_list
from ...datasets.stem_files import files_by_stem
from .file import DataFile
from .pairing import image_files, pair_files
from .scan import in_threads, read_as_trained

_SHOWN = 5


class Twin(NamedTuple):
    """Files of an unlabelled and a labelled image with the same pixels; it may be one file."""

    unlabelled: str
    labelled: str

    def __str__(self) -> str:
        return ' = '.join(dict.fromkeys(self))


def unlabelled_images(data: DataFile) -> list[str]:
    """Paths of the images that ``unlabelled`` names; no mask is looked for.

    Raises:
        FileNotFoundError: If the folder, the list, or an image that it names is absent.
        ValueError: If the file has no such entry, or it names no image.
    """
    where = entry_of(data)
    folder = data.root / where['images']
    if not folder.is_dir():
        raise FileNotFoundError(f'{folder}: no such folder, which {data.path} names as unlabelled')
    images = image_files(data, folder)
    stems: Sequence[str] = sorted(images)
    if where.get('list'):
        path = data.path.parent / where['list']
        if not path.is_file():
            raise FileNotFoundError(f'{path}: no such list, which {data.path} names as unlabelled')
        stems = read_list(path)
        absent = [stem for stem in stems if stem not in images]
        if absent:
            raise FileNotFoundError(
                f'{path} names {absent[0]!r}, and {folder} has no such file ending in '
                f'{", ".join(data.image_suffix)}: a line is the path below that folder without '
                'the ending'
            )
    if not stems:
        raise ValueError(f'{data.path}: unlabelled is empty: {folder} holds no image to take')
    return [images[stem] for stem in stems]


def entry_of(data: DataFile) -> dict[str, str]:
    """What the file says of unlabelled images.

    Raises:
        ValueError: If it says nothing.
    """
    if not data.unlabelled:
        raise ValueError(
            f'{data.path} names no unlabelled images: add a line such as "unlabelled: '
            '{images: images/unlabelled}"'
        )
    return data.unlabelled


def unlabelled_dataset(data: DataFile, pipeline: Sequence[dict]) -> dict:
    """Config of the ``FolderDataset`` of the unlabelled images."""
    where = entry_of(data)
    config = data.dataset_config('train', pipeline)
    for key in ('group_file', 'ann_file'):
        config.pop(key, None)
    config.update(data_prefix=dict(img_path=where['images']))
    if where.get('list'):
        config.update(ann_file=str(data.path.parent.absolute() / where['list']))
    return config


def pixels_of(image: np.ndarray) -> str:
    """Fingerprint of an image's pixels and size."""
    return hashlib.sha1(repr(image.shape).encode() + image.tobytes()).hexdigest()


def also_labelled(data: DataFile) -> dict[str, list[Twin]]:
    """Unlabelled images that a split holds, too, by their pixels, whatever their names.

    Files that cannot be read are left to the run, which says so. Of several unlabelled files with
    the same pixels each counts.

    Returns:
        Split -> the images, for splits with any.
    """
    jobs: list[tuple[str, str]] = [('', path) for path in unlabelled_images(data)]
    for part in data.parts:
        jobs += [(part, pair.image) for pair in pair_files(data, part).pairs]
    digests = in_threads(lambda job: digest_of(data, job[1]), jobs)
    without: dict[str, list[str]] = {}
    for (part, path), digest in zip(jobs, digests):
        if not part and digest:
            without.setdefault(digest, []).append(path)
    found: dict[str, list[Twin]] = {}
    for (part, path), digest in zip(jobs, digests):
        if part and digest in without:
            found.setdefault(part, []).extend(Twin(own, path) for own in without[digest])
    return found


def stems_to_leave_out(data: DataFile, found: Mapping[str, Sequence[Twin]]) -> list[str]:
    """Stems of the unlabelled images, and of masks among them, that a training does without.

    Those of train are kept if there are no others: after the last round of labelling.

    Args:
        data: The data set.
        found: From :func:`also_labelled`.

    Raises:
        ValueError: If val and test hold all of them.
    """
    by_part = {part: {twin.unlabelled for twin in twins} for part, twins in found.items()}
    held_out = set().union(*(files for part, files in by_part.items() if part != 'train'))
    rest = set(unlabelled_images(data)) - held_out
    if not rest:
        raise ValueError(
            f'{data.path}: val and test hold all unlabelled images, which are not to be trained '
            'on: name others, or train without --semi'
        )
    labelled = by_part.get('train', set())
    folder = str(data.root / entry_of(data)['images'])
    gone = held_out if rest <= labelled else held_out | labelled
    stems = {stem_below(path, folder, data.image_suffix) for path in gone}
    masks = files_by_stem(folder, data.image_suffix).keys() - image_files(data, folder).keys()
    return sorted(stems | masks)


def digest_of(data: DataFile, path: str) -> str:
    """Fingerprint of an image as training reads it; empty if it cannot be read."""
    try:
        return pixels_of(read_as_trained(data, path).pixels)
    except (ValueError, OSError):
        return ''


def shared_notes(found: Mapping[str, Sequence[Twin]]) -> list[str]:
    """What to tell the user of unlabelled images that are labelled, too.

    Args:
        found: From :func:`also_labelled`.
    """
    why = dict(
        train='a training leaves them out, as long as there are others',
        val='a training leaves them out, as val is to tell of images that were not trained on',
        test='a training leaves them out, as test is to tell of images that were not trained on',
    )
    notes = []
    for part, twins in found.items():
        names = [str(twin) for twin in twins]
        more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
        notes.append(
            f'{len(names)} unlabelled images are also in {part} ({", ".join(names[:_SHOWN])}'
            f'{more}): {why[part]}'
        )
    return notes
