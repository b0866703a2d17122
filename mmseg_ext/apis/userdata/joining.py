"""Join the channels of images that lie in a file each."""

import io
from pathlib import Path

import numpy as np

from ...core.files import write_bytes
from ...core.reading import read_image
from .depth import white_of
from .find.channel_files import JOINED
from .find.pairs import Layout
from .made import made, refuse_foreign
from .scan import in_threads


def join_channels(layout: Layout, folder: Path) -> None:
    """Write a TIFF of all channels for each image, and note channels and white in the layout.

    Args:
        layout: ``channels`` says which files are joined; the keys are paths below ``folder``.
        folder: Folder to write to; it is removed if anything goes wrong.

    Raises:
        FileExistsError: If the folder is not one of joined images.
        ValueError: If a file cannot be read, has several channels, or another size or type.
    """
    refuse_foreign(folder)
    jobs = list(layout.channels.items())
    with made(folder):
        largest = in_threads(
            lambda job: _join(layout.root, job[1], folder / f'{job[0]}{JOINED}'),
            jobs,
            title='join channels',
        )
    layout.image_channels = len(jobs[0][1])
    if max(deep for deep, _ in largest):
        layout.image_max_value = white_of(max(value for _, value in largest))


def _join(root: Path, paths: list[str], out: Path) -> tuple[bool, int]:
    """Join an image; return whether it has more than 8 bits, and its largest value."""
    import tifffile  # a slow import, needed for few data sets

    pieces = [read_image(str(root / path)) for path in paths]
    for path, piece in zip(paths, pieces):
        if piece.shape[2] != 1 or piece.dtype not in (np.uint8, np.uint16):
            raise ValueError(
                f'{root / path}: {piece.shape[2]} channels of {piece.dtype}, where a file for each '
                'channel holds one, of 8 or 16 bits: convert it'
            )
        if piece.shape != pieces[0].shape or piece.dtype != pieces[0].dtype:
            raise ValueError(
                f'{root / path}: {piece.shape[:2]} {piece.dtype}, and {paths[0]} is '
                f'{pieces[0].shape[:2]} {pieces[0].dtype} (height, width): channels of an image '
                'must be alike'
            )
    image = np.concatenate(pieces, axis=2)
    stream = io.BytesIO()
    tifffile.imwrite(stream, image, photometric='minisblack', planarconfig='contig')
    write_bytes(out, stream.getvalue())
    return image.dtype == np.uint16, int(image.max())
