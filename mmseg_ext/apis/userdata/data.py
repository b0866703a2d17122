"""A user's data as a run needs them: the data set file, with image sizes and class counts."""

from dataclasses import dataclass
from functools import cached_property
from typing import Optional

import torch

from ...core.files import PathLike
from ...core.labels import background_of
from ...models.losses.class_weights import class_weights
from .file import DataFile
from .pairing import pair_files, read_group_file
from .read import read_data_file
from .scan import MaskCount, median_size, probe

Size = tuple[int, int]

_PROBED = 100  # masks per split to check before a run; loading checks all
_COUNTED = 500  # masks to count for class weights


@dataclass(frozen=True)
class UserData:
    """A data set file with the facts on its images and masks that a run needs.

    Args:
        file: The data set file.
        num_train: Number of training images.
        size: Median H and W of the training images.
    """

    file: DataFile
    num_train: int
    size: Size

    @cached_property
    def counts(self) -> list[MaskCount]:
        """Count the classes in all training masks, or in an evenly spaced selection."""
        return probe(self.file, 'train', limit=_COUNTED)

    @property
    def background(self) -> Optional[int]:
        """Return the id of the background, or ``None`` if no class has such a name."""
        return background_of(self.file.classes)

    def pixels(self) -> torch.Tensor:
        """Return the pixels of each class, and of the images that contain it, int64 ``(2, K)``."""
        own = torch.stack([torch.from_numpy(count.pixels[:-1]) for count in self.counts])
        sizes = torch.tensor([count.size[0] * count.size[1] for count in self.counts])
        return torch.stack([own.sum(0), ((own > 0) * sizes[:, None]).sum(0)])

    def median_weights(self) -> list[float]:
        """Return the median-frequency weight of each of the K classes."""
        own, of_images = self.pixels()
        weights = class_weights(own, method='median', image_pixels_K=of_images)
        return [round(weight, 4) for weight in weights.tolist()]

    def positive(self) -> list[int]:
        """Return the ids of the positive classes for a two-class loss.

        These are all classes except the background. Without a class of that name, they are the
        classes with less than an equal share of the pixels.
        """
        classes = range(len(self.file.classes))
        if self.background is not None:
            return [k for k in classes if k != self.background]
        pixels = self.pixels()[0].tolist()
        rare = [k for k in classes if pixels[k] * len(pixels) < sum(pixels)]
        return rare or list(classes)[1:]


def read_user_data(path: PathLike) -> UserData:
    """Read a data set file and check up to 100 masks of each split. Writes nothing.

    Args:
        path: The data set file.

    Raises:
        FileNotFoundError: If the file, a folder, a list or a mask is absent.
        ValueError: If the file contradicts itself or the masks, or a split is empty.
    """
    file = read_data_file(path)
    read_group_file(file)
    counts = {part: probe(file, part, limit=_PROBED) for part in file.parts}
    return UserData(file, len(pair_files(file, 'train').pairs), median_size(counts['train']))
