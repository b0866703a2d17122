"""The volumes that images are slices of: where each lies, and the size of its voxels.

``volume_file`` in a data set file names this JSON file::

    {"axis": "axial",
     "volumes": {"case1": {"group": "case1", "slices": 40, "spacing": [0.8, 0.8, 3.0],
                           "affine": [[...], ...], "images": ["..."], "mask": "..."}}}

The stem of an image is the name of its volume, ``/``, and the number of the slice: ``case1/0012``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from ....core.files import read_json, write_json
from ..file import DataFile


class VolumeRecord(NamedTuple):
    """A volume.

    Args:
        group: Its patient.
        slices: Their number.
        spacing: Distances of columns, rows and slices, in mm.
        affine: From column, row and slice to mm to the right, front and top (RAS+), ``(4, 4)``.
        images: Files of its channels, relative to the root of the data.
        mask: File of its mask.
    """

    group: str
    slices: int
    spacing: tuple[float, float, float]
    affine: list[list[float]]
    images: list[str]
    mask: str

    @property
    def voxel(self) -> float:
        """Volume of a voxel in cubic millimetres."""
        return float(np.prod(self.spacing))


def write_volumes(path: Path, axis: str, volumes: Mapping[str, VolumeRecord]) -> None:
    """Write the file."""
    entries = {name: volume._asdict() for name, volume in volumes.items()}
    write_json(path, dict(axis=axis, volumes=entries), ensure_ascii=False)


def read_volumes(data: DataFile) -> dict[str, VolumeRecord]:
    """Read the volumes of a data set by their names; empty if its images are no slices.

    Raises:
        FileNotFoundError: If the file is not there.
        ValueError: If it is damaged.
    """
    if not data.volume_file:
        return {}
    path = data.root / data.volume_file
    if not path.is_file():
        raise FileNotFoundError(f'{path}: no such file, which {data.path} names as volume_file')
    try:
        entries = read_json(path)['volumes']
        return {
            name: VolumeRecord(**{**entry, 'spacing': tuple(map(float, entry['spacing']))})
            for name, entry in entries.items()
        }
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f'{path}: no file of volumes ({error!r}): run init again') from error


def group_voxels(data: DataFile) -> list[tuple[str, float]]:
    """Return the volume of a voxel in cubic millimetres for each patient of a data set.

    A patient whose volumes differ in it is left out. Empty if the images are no slices.
    """
    found: dict[str, set[float]] = {}
    for volume in read_volumes(data).values():
        found.setdefault(volume.group, set()).add(round(volume.voxel, 6))
    return [(group, voxels.pop()) for group, voxels in found.items() if len(voxels) == 1]


def volume_of(stem: str) -> str:
    """Return the name of the volume that an image is a slice of."""
    return stem.rpartition('/')[0]
