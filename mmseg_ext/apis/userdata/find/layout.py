"""Find images, their masks and the splits in a folder of unknown layout.

It understands these layouts, with any usual names (``images``, ``JPEGImages``, ``img_dir``,
``masks``, ``SegmentationClass``, ``trainannot``, ...):

- ``images/train`` and ``masks/train``, or ``train/images`` and ``train/masks``, with subfolders;
- ``images`` and ``masks`` with lists ``train.txt``, ``val.txt`` somewhere, or without any split;
- one folder for both, where ``a.jpg`` has the mask ``a.png``, or ``a.png`` the mask ``a_mask.png``;
- a folder for each case, with ``image.png`` and ``mask.png`` in it;
- a file for each channel of an image, ``a_0000.png`` and ``a_0001.png``, as for nnU-Net;
- two folders of any names, if the files in one of them have few values.

If several folders are possible, none is chosen and the user has to name one.
"""

import shlex
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Optional

import numpy as np

from ....core.labels import evenly
from ....core.masks import read_stored_mask
from ....datasets.mask_facts import codes_of
from .channel_files import find_channel_files, use_joined, with_joined
from .folders import Kind, Kinds, Tree, kind_of, look_below, read_name, use_named
from .pairs import Layout, nearly_alike, pair_folders
from .side_by_side import in_cases, in_one_folder, paired_endings
from .splits import SplitBy, add_splits

_LOOKED = 3  # files per folder to read to tell masks from photographs
_FEW_VALUES = 64
_ANY_SPLIT = SplitBy()
_ENDS = 32  # of 255: how far lossy compression spreads black and white


def find_layout(
    root: Path,
    *,
    how: SplitBy = _ANY_SPLIT,
    images: str = '',
    masks: str = '',
    own: Sequence[Path] = (),
    joined: str = '',
) -> Layout:
    """Pair the images below a folder with their masks, and find or make the splits.

    Args:
        root: The folder.
        how: Settings of a random split.
        images: Folder of the images, if the user names it; see :func:`~.data_folders.use_named`.
        masks: The same for masks.
        own: Folders that init writes itself.
        joined: Folder, relative to the root, of images whose channels are to be joined.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If no pairs are found, several folders are possible, or a data set file cannot
            describe the layout.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder')
    tree = look_below(root, own)
    cases = find_channel_files(tree) if joined else {}
    layout = lay_out(with_joined(tree, cases), how=how, images=images, masks=masks, own=own)
    if cases:
        use_joined(layout, cases, joined)
    return layout


def lay_out(
    tree: Tree, *, how: SplitBy, images: str = '', masks: str = '', own: Sequence[Path] = ()
) -> Layout:
    """Pair the files of a tree, and find or make the splits; see :func:`find_layout`."""
    every = {folder: kind_of(folder) for folder in tree.files}
    if images or masks:
        named = use_named(tree, every, images=images, masks=masks)
        for what, chosen in zip(('images', 'masks'), _by_role(named)):
            _refuse_several(tree, chosen, what)
        layout = _paired_or_error(tree, *_by_role(named))
    else:
        kinds = {folder: kind for folder, kind in every.items() if kind.role != 'other'}
        layout = _find(tree, kinds)
    _say_folders(tree, layout)
    _say_unread(tree, layout)
    add_splits(layout, how, own=own)
    return layout


def has_masks(root: Path, own: Sequence[Path] = ()) -> bool:
    """Tell whether a folder contains masks, by the names of its folders and files."""
    try:
        tree = look_below(root, own)
    except (OSError, ValueError):
        return False
    names = [name for names in tree.files.values() for name in names]
    named = any(kind_of(folder).role == 'mask' for folder in tree.files)
    found = paired_endings(names)
    return named or any(_are_masks(tree, pair) for pair in found)


def _are_masks(tree: Tree, pair: tuple[str, str]) -> bool:
    """Tell whether files that a pair of endings takes for masks are some: not copies as PNG."""
    image, end = pair
    if not end.startswith('.'):
        return True  # the ending says so: a_mask.png
    paths = []
    for folder, names in tree.files.items():
        known = {name.lower() for name in names}
        own = [name for name in names if name.lower().endswith(end)]
        paths += [tree.root / folder / n for n in own if n.lower()[: -len(end)] + image in known]
    return any(_is_flat(path) for path in evenly(paths, _LOOKED))


def _by_role(kinds: Kinds) -> tuple[Kinds, Kinds]:
    images = {f: k for f, k in kinds.items() if k.role == 'image'}
    return images, {f: k for f, k in kinds.items() if k.role == 'mask'}


def _find(tree: Tree, kinds: Kinds) -> Layout:
    images, masks = _by_role(kinds)
    if masks:
        return _by_folders(tree, kinds, images, masks)
    found = in_one_folder(tree, kinds) or in_cases(tree, kinds) or _by_content(tree, kinds)
    if found is None:
        noted = [end for end in ('.xml', '.json', '.txt', '.csv') if tree.others[end]]
        unread = (
            f'. What the {noted[0]} files say is not read (docs/data.md lists the formats that are)'
            if noted
            else ''
        )
        raise ValueError(
            f'{tree.root}: no folder is named like masks, and no file like the mask of another; '
            f'found: {tree.found()}{unread}. Expected are images/ and masks/ (with train/ and val/ '
            'inside, or lists of stems), or a.jpg with a.png, or a.png with a_mask.png; folders of '
            'other names are given with --images and --masks'
        )
    return found


# ----------------------------------------------------------------- folders of their own


def _by_folders(tree: Tree, kinds: Kinds, images: Kinds, masks: Kinds) -> Layout:
    """Find images and masks in separate folders by the names of the folders."""
    _refuse_several(tree, masks, 'masks')
    plain = {f: k for f, k in kinds.items() if k.role == ''}
    if images:
        _refuse_several(tree, images, 'images')
    elif plain:
        images = _plain_images(tree, plain, masks)
    else:
        raise ValueError(
            f'{tree.root}: {sorted(masks)} look like masks, and no folder like images: name it '
            'with --images'
        )
    spare = {f: k for f, k in plain.items() if f not in images}
    alike = [g for g in _groups(spare) if _size(tree, images, g) and _looks_like_masks(tree, g)]
    _refuse_several(tree, {**masks, **{f: k for group in alike for f, k in group.items()}}, 'masks')
    return _paired_or_error(tree, images, masks)


def _refuse_several(tree: Tree, kinds: Kinds, what: str) -> None:
    """Ask the user to choose a folder, unless all are splits of the same one."""
    keys = {kind.key for kind in kinds.values()}
    if len(keys) < 2:
        return
    if len({key[-1:] for key in keys}) == 1:
        _refuse_cases(tree, kinds, what)
    shown: Counter = Counter()
    for folder, kind in kinds.items():
        shown[_option(kind)] += len(tree.files[folder])
    listed = ' and '.join(f'{name} ({number} files)' for name, number in sorted(shown.items()))
    raise ValueError(
        f'{tree.root}: {len(shown)} folders could hold the {what}: {listed}; name the right one, '
        f'as in --{what} {shlex.quote(min(shown))}, and the others are left out'
    )


def _option(kind: Kind) -> str:
    """Return a folder name for --images or --masks that covers all splits."""
    parts = [(part, *read_name(part)) for part in PurePosixPath(kind.top).parts]
    return '/'.join(rest if split else part for part, _, split, rest in parts if rest) or '.'


def _refuse_cases(tree: Tree, kinds: Kinds, what: str) -> None:
    tops = sorted({kind.top for kind in kinds.values()})
    most = max(len(tree.files[folder]) for folder in kinds)
    objects = what == 'masks' and most > 1
    merge = ' If each mask is one object of an image, add those of an image up first.'
    raise ValueError(
        f'{tree.root}: the {what} lie in {len(tops)} folders ({", ".join(tops[:3])}, ...), up to '
        f'{most} files in each: move them below one, such as images/CASE/1.png and '
        f'masks/CASE/1.png, or describe a folder above one of them alone.{merge * objects}'
    )


def _groups(kinds: Kinds) -> list[Kinds]:
    """Group folders of neutral names by name, each as a top folder."""
    found: dict[tuple[str, ...], Kinds] = defaultdict(dict)
    for folder, kind in kinds.items():
        below = PurePosixPath(folder).relative_to(kind.top).parts[:1]
        top = PurePosixPath(kind.top, *below).as_posix()
        key = (*kind.key, *below)
        found[key][folder] = replace(kind, top=top, key=key)
    return list(found.values())


def _plain_images(tree: Tree, plain: Kinds, masks: Kinds) -> Kinds:
    """Find which folders of neutral names have the images of these masks."""
    if _size(tree, plain, masks):
        return plain
    fitting = [group for group in _groups(plain) if _size(tree, group, masks)]
    _refuse_several(tree, {f: k for group in fitting for f, k in group.items()}, 'images')
    return fitting[0] if fitting else plain


def _size(tree: Tree, images: Kinds, masks: Kinds) -> int:
    """Return how many images have a mask."""
    try:
        layout = pair_folders(tree, images, masks)
    except ValueError:
        return 0
    return sum(len(part.stems) for part in layout.parts.values())


def _paired_or_error(tree: Tree, images: Kinds, masks: Kinds) -> Layout:
    layout = pair_folders(tree, images, masks)
    if not layout.parts:
        raise ValueError(
            f'{tree.root}: no image has a mask of the same name; images: '
            f'{_example(tree, images)}, masks: {_example(tree, masks)}. '
            f'{nearly_alike(tree, images, masks)}The path below the folder '
            'of images, without its ending, must be that below the folder of masks; other folders '
            f'are named with --images and --masks. Found: {tree.found()}'
        )
    return layout


def _example(tree: Tree, folders: Kinds) -> str:
    first = min(folders)
    return f'{first}/{tree.files[first][0]}'


def _say_folders(tree: Tree, layout: Layout) -> None:
    """Note which folders were used and which were not."""
    parts = layout.parts.values()
    tops = {'images': {p.images for p in parts}, 'masks': {p.masks for p in parts}}
    taken = '; '.join(f'{what} in {", ".join(sorted(found))}' for what, found in tops.items())
    used = tops['images'] | tops['masks']
    left = [
        folder for folder in tree.files
        if not any(top in ('.', folder) or folder.startswith(f'{top}/') for top in used)
    ]  # fmt: skip
    layout.notes.insert(0, taken)
    if left:
        shown = ', '.join(f'{folder} ({len(tree.files[folder])} files)' for folder in left[:8])
        more = f' and {len(left) - 8} more' if len(left) > 8 else ''
        layout.notes.insert(1, f'left out: {shown}{more}')


def _say_unread(tree: Tree, layout: Layout) -> None:
    """Note annotations of objects, a file for each image, that are not read where masks are."""
    number = sum(len(part.stems) for part in layout.parts.values())
    for end in ('.xml', '.json'):
        if 2 * tree.others[end] >= number > 1:
            layout.notes.append(
                f'{tree.others[end]} {end} files are not read, as there are masks: do these hold '
                'all objects? If not, move the masks away'
            )


# ------------------------------------------------------------------------------ content


def _by_content(tree: Tree, kinds: Kinds) -> Optional[Layout]:
    """Find two folders of neutral names, one of which has files with few values."""
    images = {f: k for f, k in kinds.items() if k.role == 'image'}
    _refuse_several(tree, images, 'images')
    groups = _groups({f: k for f, k in kinds.items() if k.role == ''})
    flat = [group for group in groups if _looks_like_masks(tree, group)]
    pictures = [images] if images else [group for group in groups if group not in flat]
    fitting = [(one, two) for one in pictures for two in flat if _size(tree, one, two)]
    if not fitting:
        return None
    for index, what in enumerate(('images', 'masks')):
        _refuse_several(tree, {f: k for pair in fitting for f, k in pair[index].items()}, what)
    layout = _paired_or_error(tree, *fitting[0])
    one, two = (_option(next(iter(kinds.values()))) for kinds in fitting[0])
    layout.notes.append(
        f'{two} is taken for the masks of {one}, as its files hold few values each; --images and '
        '--masks choose others'
    )
    return layout


def _looks_like_masks(tree: Tree, kinds: Kinds) -> bool:
    """Tell whether files have few values, or nearly only the two ends of a grey scale."""
    paths = [tree.root / folder / name for folder in kinds for name in tree.files[folder]]
    return all(_is_flat(path) for path in evenly(paths, _LOOKED))


def _is_flat(path: Path) -> bool:
    try:
        mask = read_stored_mask(str(path)).values
    except (OSError, ValueError):
        return False
    codes = codes_of(mask)
    values, numbers = np.unique(codes, return_counts=True)
    if len(values) <= _FEW_VALUES:
        return True
    ends = (values <= _ENDS) | (values >= values.max() - _ENDS)
    return mask.ndim == 2 and float(numbers[ends].sum()) > 0.95 * codes.size
