"""Masks that people have finished go into the data set, which is checked then."""

from collections.abc import Sequence
from typing import Optional

from ...core.files import PathLike
from ...core.words import command, count_names
from ..userdata.checks.check import check_data
from ..userdata.checks.text import as_text
from ..userdata.read import read_data_file
from .exchange import match_name
from .merge import merge_masks
from .project import read_finished


def take_back(
    dataset: PathLike,
    finished: PathLike,
    images: Sequence[PathLike] = (),
    *,
    expected: Optional[Sequence[str]] = None,
) -> tuple[list[str], int]:
    """Put finished masks into the training split, check the data set, and print what happened.

    Masks that are there already are found and left alone, so that a call can be repeated.

    Args:
        dataset: Data set file.
        finished: What the labelling tool exported.
        images: Folders of labelled images that are to be copied into the data set.
        expected: Stems of images, of which at least one must be finished.

    Returns:
        Names of the finished images, as the tool has them, and the number of errors of the data
        set.

    Raises:
        FileNotFoundError: If a file or image is absent.
        ValueError: If nothing (or nothing expected) is finished, or a mask does not fit; nothing is
            written then.
    """
    data = read_data_file(dataset)
    found = read_finished(finished, data)
    if not found.finished:
        raise ValueError(
            f'{finished}: nothing is painted in its {len(found.waiting)} images: nothing done'
        )
    names = [one.name for one in found.finished]
    if expected is not None and not any(match_name(n, expected, data.image_suffix) for n in names):
        raise ValueError(
            f'{finished}: none of its {len(found.finished)} finished images is one of the '
            f'{len(expected)} that this round waits for: give the export of this round; '
            f'{command("label")} import takes other masks'
        )
    print('\n'.join(merge_masks(data, found.finished, images=images).lines()))
    if found.waiting:
        print(count_names('images have no labels yet', found.waiting))
    report = check_data(dataset)
    print(as_text(report), flush=True)
    return names, len(report.errors)
