"""Cut volumes and their masks into slices that training reads, and put them on record.

Shape letters: I column, J row, K slice, C channel.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import NamedTuple

import numpy as np
import tifffile
from PIL import Image

from ....core.files import path_below, write_bytes
from ....core.words import check_choice
from ..find.pairs import Folders, Layout
from ..made import refuse_foreign
from ..scan import in_threads
from .find import Case
from .nifti import AXES, Volume, check_alike, read_labels, read_volume, spacing_by_axis, turned
from .record import VolumeRecord
from .scale import Histogram, Kind, find_kind, keys_of, scaled

_ALIKE = 1.001  # spacings that differ by less are the same
_AT_ONCE = 4  # volumes in memory


class Wanted(NamedTuple):
    """What the user asks for.

    Args:
        axis: Kind of the slices; empty for those that lie farthest apart.
        window: Values that are black and white; empty finds them.
    """

    axis: str = ''
    window: Sequence[int] = ()

    def check(self) -> None:
        """Refuse settings that are wrong for any data.

        Raises:
            ValueError: If the axis is unknown, or the window is none.
        """
        if self.axis:
            check_choice('axis', self.axis, tuple(AXES))
        if self.window and not (len(self.window) == 2 and self.window[0] < self.window[1]):
            shown = ' '.join(map(str, self.window))
            raise ValueError(f'--window needs two values, the lower one first, got {shown}')

    def refuse(self, root: Path) -> None:
        """Refuse settings where there are no volumes.

        Raises:
            ValueError: If a setting was given.
        """
        given = [name for name, value in zip(('--axis', '--window'), self) if value]
        if given:
            raise ValueError(
                f'{", ".join(given)} would change nothing: {root} is not read as volumes (.nii, '
                '.nii.gz); leave it out'
            )


class Cut(NamedTuple):
    """The slices of a data set.

    Args:
        axis: Kind of the slices.
        volumes: Name -> record of the volume.
    """

    axis: str
    volumes: dict[str, VolumeRecord]

    def groups(self) -> dict[str, str]:
        """Return the patient of each slice."""
        return {
            stem: volume.group
            for name, volume in self.volumes.items()
            for stem in stems_of(name, volume.slices)
        }


def stems_of(name: str, slices: int) -> list[str]:
    """Return the stems of a volume's slices."""
    return [f'{name}/{index:04d}' for index in range(slices)]


def cut_volumes(
    layout: Layout, cases: Sequence[Case], wanted: Wanted, images: Path, masks: Path
) -> Cut:
    """Write slices of all volumes, and let the layout name them.

    Args:
        layout: Of the volumes; changed in place.
        cases: The volumes.
        wanted: What the user asks for.
        images: Folder for TIFF files.
        masks: Folder for PNG files.

    Raises:
        FileExistsError: If a folder is there that init did not write.
        ValueError: If a file cannot be read, or a mask does not lie on its image.
    """
    for folder in (images, masks):
        refuse_foreign(folder)
    cut = _cut(layout, cases, wanted, images, masks)
    _use_slices(layout, cases, cut, images, masks)
    return cut


def _cut(layout: Layout, cases: Sequence[Case], wanted: Wanted, images: Path, masks: Path) -> Cut:
    axis = wanted.axis or _widest(cases)
    kind = find_kind(layout.root, [path for case in cases for path in case.images], wanted.window)
    cutter = _Cutter(layout.root, axis, kind, images, masks)
    records = in_threads(cutter, cases, title='cut volumes', most=_AT_ONCE)
    channels = {case.name: number for case, (_, number) in zip(cases, records)}
    first = cases[0].name
    for name, number in channels.items():
        if number != channels[first]:
            raise ValueError(
                f'{layout.root}: {name} has {number} channels, and {first} has {channels[first]}: '
                'all volumes need the same'
            )
    layout.image_channels = channels[first] if channels[first] > 1 else None
    low, high = keys_of(kind, wanted.window, cutter.seen)
    layout.image_min_value, layout.image_max_value = low, high
    volumes = {case.name: record for case, (record, _) in zip(cases, records)}
    layout.notes += [_summary(volumes, axis), kind.why]
    if low is not None:
        layout.notes.append(f'{low} is black and {high} white: image_min_value, image_max_value')
    return Cut(axis, volumes)


def _summary(volumes: dict[str, VolumeRecord], axis: str) -> str:
    number = sum(volume.slices for volume in volumes.values())
    apart = np.median([volume.spacing[2] for volume in volumes.values()])
    return (
        f'{len(volumes)} volumes are cut into {number} {axis} slices, {apart:.3g} mm apart '
        f'(--axis chooses another of {", ".join(AXES)})'
    )


def _widest(cases: Sequence[Case]) -> str:
    """Return the kind of slices that lie farthest apart, by the median; of equals, axial."""
    every = [spacing_by_axis(read_volume(case.images[0], header_only=True)) for case in cases]
    sagittal, coronal, axial = np.median(every, axis=0)
    if axial * _ALIKE >= max(sagittal, coronal):
        return 'axial'
    return 'coronal' if coronal * _ALIKE >= sagittal else 'sagittal'


class _Cutter:
    """Cuts a volume after the other; ``seen`` are the values of training volumes."""

    def __init__(self, root: Path, axis: str, kind: Kind, images: Path, masks: Path) -> None:
        self.root, self.axis, self.kind = root, axis, kind
        self.images, self.masks = images, masks
        self.seen, self.lock = Histogram(), Lock()

    def __call__(self, case: Case) -> tuple[VolumeRecord, int]:
        """Write the slices of a volume; return its record and the number of its channels."""
        image, labels = _read(case)
        if self.kind.name == 'absolute' and case.part == 'train':
            with self.lock:
                self.seen.add(image.values, labels.values)
        image = turned(image._replace(values=scaled(image.values, self.kind)), self.axis)
        labels = turned(labels, self.axis)
        stems = stems_of(case.name, image.values.shape[2])
        for index, stem in enumerate(stems):
            pixels = np.ascontiguousarray(image.values[:, :, index].transpose(1, 0, 2))
            write_bytes(self.images / f'{stem}.tif', _as_tiff(pixels))
            mask = np.ascontiguousarray(labels.values[:, :, index, 0].T)
            write_bytes(self.masks / f'{stem}.png', _as_png(mask))
        return self._record(case, image), image.values.shape[3]

    def _record(self, case: Case, image: Volume) -> VolumeRecord:
        column, row, apart = image.spacing.tolist()
        return VolumeRecord(
            case.group,
            image.values.shape[2],
            (column, row, apart),
            image.affine.tolist(),
            [path_below(path, self.root) for path in case.images],
            path_below(case.mask, self.root),
        )


def _read(case: Case) -> tuple[Volume, Volume]:
    """Read the channels of a volume, and its labels."""
    pieces = [read_volume(path) for path in case.images]
    for path, piece in zip(case.images[1:], pieces[1:]):
        check_alike(pieces[0], piece, path, case.images[0])
    labels = read_labels(case.mask)
    check_alike(pieces[0], labels, case.mask, case.images[0])
    values = [piece.values for piece in pieces]
    joined = values[0] if len(values) == 1 else np.concatenate(values, axis=3)
    return Volume(joined, pieces[0].affine), labels


def _as_tiff(pixels_JIC: np.ndarray) -> bytes:
    stream = io.BytesIO()
    one = pixels_JIC.shape[2] == 1
    tifffile.imwrite(
        stream,
        pixels_JIC[..., 0] if one else pixels_JIC,
        photometric='minisblack',
        planarconfig=None if one else 'contig',
        compression='zlib',
    )
    return stream.getvalue()


def _as_png(mask_JI: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(mask_JI).save(stream, 'png')
    return stream.getvalue()


def _use_slices(layout: Layout, cases: Sequence[Case], cut: Cut, images: Path, masks: Path) -> None:
    """Let a layout of volumes name their slices."""
    places = [path_below(folder, layout.root) for folder in (images, masks)]
    for part in layout.parts:
        own = [case.name for case in cases if case.part == part]
        stems = [stem for name in own for stem in stems_of(name, cut.volumes[name].slices)]
        layout.parts[part] = Folders(places[0], places[1], stems, whole=False)
    layout.image_suffix, layout.mask_suffix = ['.tif'], ['.png']
