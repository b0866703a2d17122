"""Images without masks of a user's data, and labelled images that are among them."""

import hashlib
from collections.abc import Sequence

import numpy as np

from ...datasets.folder import files_by_stem, read_list
from .file import DataFile
from .pairing import pair_files
from .scan import in_threads, read_as_trained

_SHOWN = 5


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
    images = files_by_stem(str(folder), data.image_suffix)
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


def also_labelled(data: DataFile) -> dict[str, list[str]]:
    """Unlabelled images that a split holds, too, by their pixels, whatever their names.

    Files that cannot be read are left to the run, which says so.

    Returns:
        Split -> ``unlabelled file = labelled file``, for splits with any.
    """
    jobs: list[tuple[str, str]] = [('', path) for path in unlabelled_images(data)]
    for part in data.parts:
        jobs += [(part, pair.image) for pair in pair_files(data, part).pairs]
    digests = in_threads(lambda job: digest_of(data, job[1]), jobs)
    without = {digest: path for (part, path), digest in zip(jobs, digests) if not part and digest}
    found: dict[str, list[str]] = {}
    for (part, path), digest in zip(jobs, digests):
        if part and digest in without:
            found.setdefault(part, []).append(f'{without[digest]} = {path}')
    return found


def digest_of(data: DataFile, path: str) -> str:
    """Fingerprint of an image as training reads it; empty if it cannot be read."""
    try:
        return pixels_of(read_as_trained(data, path).pixels)
    except (ValueError, OSError):
        return ''


def shared_notes(data: DataFile) -> list[str]:
    """What to tell the user of unlabelled images that are labelled, too."""
    why = dict(
        train='it learns nothing new from them',
        val='the scores of val then tell of images that were trained on',
        test='the scores of test then tell of images that were trained on',
    )
    notes = []
    for part, names in also_labelled(data).items():
        more = f' and {len(names) - _SHOWN} more' if len(names) > _SHOWN else ''
        notes.append(
            f'{len(names)} unlabelled images are also in {part} ({", ".join(names[:_SHOWN])}'
            f'{more}): {why[part]}; take them out of unlabelled'
        )
    return notes
