"""Role (images or masks) and split of a folder, from its name."""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from ....core.files import path_below
from ....datasets.folder import IMAGE_SUFFIXES
from ....datasets.stem_files import walk_files

SPLITS = {
    'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
    'dev': 'val', 'test': 'test', 'testing': 'test',
}  # fmt: skip
_AFFIXES = {**SPLITS, 'tr': 'train', 'ts': 'test'}  # nnU-Net's imagesTr, labelsTs
MASK_WORDS = {
    'mask', 'label', 'annotation', 'annot', 'ann', 'anno', 'gt', 'gtfine', 'groundtruth', 'seg',
    'segmentation', 'segmentationclass', 'segmentationclassaug', 'segmentationclassraw', 'target',
    'labelid', 'semantic', 'dir_ann', 'manual', 'segmap', 'labelmap', 'matte',
}  # fmt: skip
IMAGE_WORDS = {
    'image', 'img', 'jpegimage', 'leftimg8bit', 'photo', 'picture', 'input', 'rgb', 'original',
    'frame', 'scan',
}  # fmt: skip
_OTHER_WORDS = {
    'segmentationobject', 'instance', 'panoptic', 'depth', 'prediction', 'overlay', 'thumbnail',
}  # fmt: skip
_FILLERS = {'dir', 'set', 'folder', 'data'}  # img_dir, train_set
MADE = '.made_by_init'  # marks a folder of lists or masks that init wrote


@dataclass(frozen=True)
class Kind:
    """Role and split of a folder, from the names on its path.

    Args:
        role: ``'image'``, ``'mask'``, ``'other'`` or ``''``.
        split: Split of its files.
        top: The folder below which images and masks have equal paths.
        key: The names of ``top`` without those of splits; equal for the folders of all splits.
    """

    role: str
    split: str
    top: str
    key: tuple[str, ...]


Kinds = dict[str, Kind]


@dataclass
class Tree:
    """The image files below a folder.

    Args:
        root: The folder.
        files: Subfolder -> names of its image files.
        others: Ending of other files -> number of files.
    """

    root: Path
    files: dict[str, list[str]]
    others: Counter

    def found(self, folders: Sequence[str] = ()) -> str:
        """Describe which files there are, folder by folder."""
        shown = [f'{f} ({len(self.files[f])})' for f in sorted(folders or self.files)]
        more = f' and {len(shown) - 8} more folders' if len(shown) > 8 else ''
        other = ', '.join(f'{number} {end}' for end, number in self.others.most_common(4))
        return ', '.join(shown[:8]) + more + (f'; besides {other}' if other else '')


def look_below(root: Path, own: Sequence[Path] = ()) -> Tree:
    """List the image files below a folder.

    Args:
        root: The folder.
        own: Folders that init writes; these and folders that it has marked are left out.

    Raises:
        ValueError: If there is no image file.
    """
    files: dict[str, list[str]] = defaultdict(list)
    others: Counter = Counter()
    for path in data_files(root, own):
        if path.name.lower().endswith(IMAGE_SUFFIXES):
            folder = path_below(path.parent, root)
            files[folder].append(path.name)
        else:
            ends = ''.join(path.suffixes[-2:]) if path.suffix == '.gz' else path.suffix
            others[ends.lower() or path.name] += 1
    tree = Tree(root, {folder: sorted(files[folder]) for folder in sorted(files)}, others)
    if not files:
        besides = f'; it holds {tree.found()[len("; besides ") :]}' if others else ''
        raise ValueError(f'{root}: no image files ({", ".join(IMAGE_SUFFIXES)}) in it{besides}')
    return tree


def data_files(root: Path, own: Sequence[Path] = ()) -> list[Path]:
    """List all files below a folder, except in folders that init wrote."""
    paths = [
        path for path in walk_files(root) if not path.name.startswith('.') or path.name == MADE
    ]
    made = {path.parent.resolve() for path in paths if path.name == MADE}
    made |= {path.resolve() for path in own}
    for path in paths:  # lists written before there was a mark
        if path.parent.name.endswith('_splits') and _is_listed_by_init(path.parent):
            made.add(path.parent.resolve())
    places = {path.parent for path in paths}
    kept = {p for p in places if not made & {p.resolve(), *p.resolve().parents}}
    return [path for path in paths if path.parent in kept and path.name != MADE]


def _is_listed_by_init(folder: Path) -> bool:
    file = folder.with_name(f'{folder.name[: -len("_splits")]}.yml')
    if not file.is_file():
        return folder.name == 'my_data_splits'
    with file.open(encoding='utf-8', errors='replace') as stream:
        return re.search(r'dataset(\.py)? init', stream.readline()) is not None


# ------------------------------------------------------------------------------- names


def kind_of(folder: str) -> Kind:
    """Derive role and split from the names on a folder's path."""
    parts = PurePosixPath(folder).parts
    read = [read_name(part) for part in parts]
    role, split = '', ''
    for own_role, own_split, _ in read:
        split = own_split or split
        role = role if role == 'other' or not own_role else own_role  # the last name counts most
    depth = len(parts)
    while depth and not read[depth - 1][0] and not read[depth - 1][1]:
        depth -= 1
    return Kind(
        role, split, '/'.join(parts[:depth]) or '.', tuple(n for *_, n in read[:depth] if n)
    )


def read_name(part: str) -> tuple[str, str, str]:
    """Return role and split that a folder or file name suggests, and the rest of the name."""
    role, split, left = '', '', []
    text = re.sub(r'ground[_\-. ]?truth', 'groundtruth', part.lower())
    for word in re.split(r'[_\-. ]+', text):
        word, cut = _cut_split(word)
        split = cut or split
        one = word[:-1] if word.endswith('s') else word
        if {word, one} & MASK_WORDS:
            role = 'mask'
        elif {word, one} & IMAGE_WORDS:
            role = role or 'image'
        elif {word, one} & _OTHER_WORDS:
            role = 'other'
        if word and word not in _FILLERS:
            left.append(word)
    return role, split, '_'.join(left)


def _cut_split(word: str) -> tuple[str, str]:
    """Separate the name of a split from a word: ``trainannot`` is ``annot`` of ``train``."""
    plain = re.sub(r'\d{4}$', '', word)  # train2017
    if plain in SPLITS:
        return '', SPLITS[plain]
    known = MASK_WORDS | IMAGE_WORDS
    for name in sorted(_AFFIXES, key=len, reverse=True):
        for rest in (
            word[len(name) :] * word.startswith(name),
            word[: -len(name)] * word.endswith(name),
        ):
            if rest in known or rest[:-1] in known:
                return rest, _AFFIXES[name]
    return word, ''


# --------------------------------------------------------------------- what was asked for


def use_named(tree: Tree, kinds: Kinds, *, images: str, masks: str) -> Kinds:
    """Assign the roles of the folders that a user named.

    Args:
        tree: The files.
        kinds: Kind of each folder with image files.
        images: A folder below the root, or a folder name that every split has; empty finds the
            images by name.
        masks: The same for masks.

    Returns:
        The folders of images and of masks, without all others.

    Raises:
        ValueError: If a folder does not exist.
    """
    chosen: Kinds = {}
    for role, wanted in (('image', images), ('mask', masks)):
        if wanted:
            found = _named(tree, list(kinds), wanted)
            chosen.update({f: replace(kind, role=role) for f, kind in found.items()})
            if not found:
                raise ValueError(
                    f'--{role}s {wanted}: {tree.root} has no such folder with image files; it has '
                    f'{tree.found()}'
                )
    left = {f: k for f, k in kinds.items() if f not in chosen}
    for role, wanted in (('image', images), ('mask', masks)):
        if not wanted:
            named = {f: k for f, k in left.items() if k.role == role}
            chosen.update(named or {f: k for f, k in left.items() if k.role == ''})
            chosen.update({f: replace(chosen[f], role=role) for f in chosen if f in left})
    return chosen


def _named(tree: Tree, folders: Sequence[str], wanted: str) -> Kinds:
    """Return the folders at or below a path, or those whose path without splits has that name."""
    path = Path(wanted)
    if path.is_absolute() or (not (tree.root / path).is_dir() and path.is_dir()):
        path = Path(os.path.relpath(path.absolute(), tree.root.absolute()))
    text = path.as_posix()
    found: Kinds = {}
    for folder in folders:
        if text == '.' or folder == text or folder.startswith(f'{text}/'):
            top = text
            below = PurePosixPath(folder).relative_to(text).parts
            while below and read_name(below[0])[1]:  # images/train
                top, below = f'{top}/{below[0]}'.removeprefix('./'), below[1:]
            found[folder] = Kind('', kind_of(folder).split, top, (text.lower(),))
    if found:
        return found
    for folder in folders:
        end = _end_of(folder, text)
        if end:
            top = '/'.join(PurePosixPath(folder).parts[:end])
            found[folder] = Kind('', kind_of(folder).split, top, (text.lower(),))
    return found


def _end_of(folder: str, wanted: str) -> int:
    """Return how many parts of a path lead to the wanted names, ignoring splits; 0 if none."""
    parts = PurePosixPath(folder).parts
    names = [name.lower() for name in PurePosixPath(wanted).parts]
    for end in range(1, len(parts) + 1):
        plain = [p.lower() for p in parts[:end] if not _is_split(p)]
        clean = [read_name(p)[2] for p in parts[:end] if not _is_split(p)]
        if names in (plain[-len(names) :], clean[-len(names) :]):
            while end < len(parts) and read_name(parts[end])[1]:
                end += 1
            return end
    return 0


def _is_split(part: str) -> bool:
    _, split, rest = read_name(part)
    return bool(split) and not rest
