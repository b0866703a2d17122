"""Read NIfTI volumes, and turn them so that slices of all volumes look alike.

Source: https://nifti.nimh.nih.gov/nifti-1, read by nibabel. An affine carries voxel numbers
(column, row, slice, after turning) to millimetres to the right, to the front and upwards (RAS+).
Shape letters: X, Y, Z axes of the file; I column, J row, K slice; C channel.
"""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ....core.reading import naming

ENDINGS = ('.nii.gz', '.nii')
MISSING = 'NIfTI files need nibabel: pip install "mmsegmentation-ext[nifti]"'
_MILLIMETRES = {'mm': 1.0, 'meter': 1000.0, 'micron': 0.001, 'unknown': 1.0}
# Where columns, rows and slices lead: L left, P to the back, I downwards, S upwards; as is usual,
# the patient's left is on the right of a slice, and the head is up.
AXES = dict(axial='LPS', coronal='LIP', sagittal='PIL')
_FARTHEST = 0.5  # voxels that a mask may lie beside its image


class Volume(NamedTuple):
    """A volume and where it lies.

    Args:
        values: ``(X, Y, Z, C)``; of masks C is 1.
        affine: From voxel numbers to mm, ``(4, 4)``.
    """

    values: np.ndarray
    affine: np.ndarray

    @property
    def spacing(self) -> np.ndarray:
        """Distances of voxels along the axes of ``values`` in mm, ``(3,)``."""
        return np.sqrt((self.affine[:3, :3] ** 2).sum(axis=0))


def need_nibabel() -> Any:
    """Import nibabel.

    Raises:
        ImportError: If it is not installed, with the command that installs it.
    """
    try:
        import nibabel
        import nibabel.orientations
    except ImportError as error:
        raise ImportError(f'{MISSING} ({error})') from error
    return nibabel


def read_volume(path: Path, *, header_only: bool = False) -> Volume:
    """Read the volume of a file; of four dimensions the last one holds channels.

    Args:
        path: The file.
        header_only: Leave the values unread: they are zeros of one byte that take no memory.

    Raises:
        ImportError: Without nibabel.
        ValueError: If it cannot be read, has more dimensions, colors, or values that are no
            numbers; naming the file.
    """
    nibabel = need_nibabel()
    with naming(str(path), 'a NIfTI volume'):
        file = nibabel.load(path)
        shape = _shape(file.shape)
        unit = _MILLIMETRES[file.header.get_xyzt_units()[0]]
        values = np.broadcast_to(np.uint8(0), shape) if header_only else np.asanyarray(file.dataobj)
        affine = np.diag([unit, unit, unit, 1.0]) @ np.asarray(file.affine, np.float64)
    if values.dtype.kind not in 'iuf':
        raise ValueError(f'{path}: voxels of {values.dtype}, where each is a number: convert it')
    if not np.isfinite(affine).all() or abs(np.linalg.det(affine[:3, :3])) < 1e-12:
        raise ValueError(f'{path}: its affine has no size of voxels: correct the header')
    if values.dtype.kind == 'f' and not np.isfinite(values).all():
        number = int((~np.isfinite(values)).sum())
        raise ValueError(f'{path}: {number} voxels are NaN or infinite: put a number there')
    return Volume(values.reshape(shape), affine)


def stored_type(path: Path) -> str:
    """Return the type of a file's voxels, such as ``'int16'``; float if its header scales them."""
    nibabel = need_nibabel()
    with naming(str(path), 'a NIfTI volume'):
        file = nibabel.load(path)
        return str(file.dataobj[(slice(0, 1),) * len(file.shape)].dtype)


def _shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return X, Y, Z and C; axes of length 1 beyond the third are passed over."""
    padded = (*shape, 1, 1, 1)[: max(3, len(shape))]
    channels = [size for size in padded[3:] if size != 1] or [1]
    if len(channels) > 1 or 0 in padded:
        raise ValueError(f'its shape is {shape}: three axes, and channels last, are expected')
    return (*padded[:3], channels[0])


def read_labels(path: Path) -> Volume:
    """Read a volume of class values.

    Raises:
        ValueError: As :func:`read_volume`, and if a value is no whole number from 0 to 65535, or
            there are channels.
    """
    volume = read_volume(path)
    values = volume.values
    if values.shape[3] != 1:
        raise ValueError(
            f'{path}: {values.shape[3]} channels, where labels have one: save class ids'
        )
    wrong = values[(values < 0) | (values > 65535) | (values != np.round(values))]
    if wrong.size:
        shown = ', '.join(f'{value:g}' for value in np.unique(wrong)[:4])
        raise ValueError(
            f'{path}: {wrong.size} voxels are no class ids ({shown}): labels are whole numbers '
            'from 0 to 65535 (was the volume scaled with interpolation?)'
        )
    kind = np.uint8 if values.max() < 256 else np.uint16
    return Volume(values.astype(kind), volume.affine)


def check_alike(image: Volume, other: Volume, path: Path, of: Path) -> None:
    """Refuse a mask, or another channel, that does not lie on its image.

    Raises:
        ValueError: If the shapes differ, or a corner is more than half a voxel away.
    """
    shape, wanted = other.values.shape[:3], image.values.shape[:3]
    if shape != wanted:
        raise ValueError(f'{path} has {shape} voxels, and {of} has {wanted}: resample one of them')
    ends = np.array(np.meshgrid(*[(0, size - 1) for size in wanted], [1])).reshape(4, -1)
    away = np.sqrt((((image.affine - other.affine) @ ends) ** 2).sum(axis=0)).max()
    if away > _FARTHEST * image.spacing.min():
        raise ValueError(
            f'{path} lies up to {away:.3g} mm away from {of}, by the affines in their headers: '
            'resample one of them, or correct its header'
        )


def spacing_by_axis(volume: Volume) -> np.ndarray:
    """Return the distance of slices that are sagittal, coronal and axial, in mm, ``(3,)``.

    Where there is a single slice, the distance is infinite.
    """
    places = need_nibabel().orientations.io_orientation(volume.affine)[:, 0].astype(int)
    sizes = np.array(volume.values.shape[:3])
    found = np.zeros(3)
    found[places] = np.where(sizes == 1, np.inf, volume.spacing)
    return found


def turned(volume: Volume, axis: str) -> Volume:
    """Turn a volume so that its axes are column, row and slice; nothing is interpolated.

    Args:
        volume: Of any orientation.
        axis: Kind of the slices, a key of ``AXES``.

    Returns:
        Values ``(I, J, K, C)``, and the affine of these.
    """
    turns = need_nibabel().orientations
    wanted = turns.axcodes2ornt(tuple(AXES[axis]))
    change = turns.ornt_transform(turns.io_orientation(volume.affine), wanted)
    values = turns.apply_orientation(volume.values, change)
    return Volume(values, volume.affine @ turns.inv_ornt_aff(change, volume.values.shape[:3]))
