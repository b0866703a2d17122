"""Find the volumes below a folder, and pair them with their masks, as images are paired."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple, Optional

from ....core.files import path_below
from ..find.channel_files import JOINED, find_channel_files, with_joined
from ..find.folders import Tree, data_files
from ..find.layout import lay_out
from ..find.pairs import Layout
from ..find.splits import SplitBy, add_splits
from .modalities import Sequences, by_patient, find_sequences, lay_out_sequences
from .nifti import ENDINGS

_ENDING = '.nii'  # what compressed files count as, too, so that an ending has one point


class Case(NamedTuple):
    """A volume with its mask.

    Args:
        name: Name of its slices' folder.
        part: Its split.
        group: Its patient.
        images: Files of its channels, in order.
        mask: File of its mask.
    """

    name: str
    part: str
    group: str
    images: list[Path]
    mask: Path


class Found(NamedTuple):
    """The volumes below a folder.

    Args:
        tree: Their names, all with the ending of uncompressed ones.
        files: Such a name below the root -> the file.
    """

    tree: Tree
    files: dict[str, Path]


def find_volumes(root: Path, own: Sequence[Path] = ()) -> Optional[Found]:
    """List the NIfTI files below a folder; ``None`` if there are none.

    Raises:
        ValueError: If a volume is there twice, compressed and not.
    """
    places: dict[str, list[str]] = defaultdict(list)
    files: dict[str, Path] = {}
    for path in data_files(root, own):
        ending = next((end for end in ENDINGS if path.name.lower().endswith(end)), None)
        if ending is None:
            continue
        folder, name = path_below(path.parent, root), path.name[: -len(ending)] + _ENDING
        key = PurePosixPath(folder, name).as_posix()
        if key in files:
            raise ValueError(f'{files[key]} and {path} have the same name: remove one')
        files[key] = path
        places[folder].append(name)
    ordered = {folder: sorted(places[folder]) for folder in sorted(places)}
    return Found(Tree(root, ordered, Counter()), files) if files else None


def pair_volumes(
    found: Found, how: SplitBy, *, images: str = '', masks: str = '', own: Sequence[Path] = ()
) -> tuple[Layout, list[Case]]:
    """Pair volumes with their masks, and split them; all slices of one are in one split.

    Args:
        found: The volumes.
        how: Settings of a random split; its groups are of names of volumes.
        images: Folder of the images, if the user names it.
        masks: The same for masks.
        own: Folders that init writes itself.

    Raises:
        ValueError: As ``find_layout``.
    """
    how = how._replace(unit='volumes')
    sequences, notes = ({}, []) if images or masks else find_sequences(found.tree)
    if sequences:
        return _pair_sequences(found, sequences, notes, how, own)
    channels = find_channel_files(found.tree)
    tree = with_joined(found.tree, channels)
    layout = lay_out(tree, how=how, images=images, masks=masks, own=own)
    stems = Counter(stem for part in layout.parts.values() for stem in part.stems)
    cases = []
    for name, part in layout.parts.items():
        for stem in part.stems:
            place = '' if stems[stem] == 1 else f'{name}/'  # both splits number their volumes
            image = PurePosixPath(part.images, stem).as_posix()
            names = channels.get(image) or [_named(found, image, layout.image_suffix)]
            mask = _named(found, f'{part.masks}/{stem}', layout.mask_suffix)
            group = how.group_of(stem) if how.groups else stem
            files = [found.files[path] for path in names]
            cases.append(Case(place + stem, name, place + group, files, found.files[mask]))
    return layout, cases


def _pair_sequences(
    found: Found,
    sequences: dict[str, Sequences],
    notes: list[str],
    how: SplitBy,
    own: Sequence[Path],
) -> tuple[Layout, list[Case]]:
    """Return the layout and the cases of volumes that lie beside their masks, and split them."""
    how = by_patient(how, sequences)
    layout = lay_out_sequences(found.tree, sequences)
    layout.notes += notes
    add_splits(layout, how, own=own)
    cases = []
    for part, folders in layout.parts.items():
        for name in folders.stems:
            case = sequences[name]
            files = [found.files[case.images[ending]] for ending in sorted(case.images)]
            group = how.group_of(name) if how.groups else name
            cases.append(Case(name, part, group, files, found.files[case.mask]))
    return layout, cases


def _named(found: Found, stem: str, suffixes: Sequence[str]) -> str:
    """Return the name of the file with this stem, whose ending may be in other case."""
    known = {path.lower(): path for path in found.files}
    place = PurePosixPath(stem).as_posix().lower()
    return next(known[place + end] for end in suffixes if end != JOINED and place + end in known)
