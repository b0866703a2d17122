"""Find images, their masks and the splits in a folder of unknown layout.

Understood are, with any usual names (``images``, ``JPEGImages``, ``img_dir``, ``masks``,
``SegmentationClass``, ``trainannot``, ...):

- ``images/train`` and ``masks/train``, or ``train/images`` and ``train/masks``, with subfolders;
- ``images`` and ``masks`` with lists ``train.txt``, ``val.txt`` somewhere, or without any split;
- one folder for both, where ``a.jpg`` has the mask ``a.png``, or ``a.png`` the mask ``a_mask.png``.
"""

import os
import re
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Dict, List, Optional, Sequence, Tuple

from mmseg_ext.datasets.folder import IMAGE_SUFFIXES
from mmseg_ext.datasets.splits import split_ids

_SPLITS = {
    'train': 'train', 'training': 'train', 'val': 'val', 'valid': 'val', 'validation': 'val',
    'dev': 'val', 'test': 'test', 'testing': 'test',
}  # fmt: skip
_MASK_WORDS = {
    'mask', 'label', 'annotation', 'annot', 'ann', 'anno', 'gt', 'gtfine', 'groundtruth', 'seg',
    'segmentation', 'segmentationclass', 'segmentationclassaug', 'segmentationclassraw', 'target',
    'labelid', 'semantic', 'dir_ann',
}  # fmt: skip
_IMAGE_WORDS = {
    'image', 'img', 'jpegimage', 'leftimg8bit', 'photo', 'picture', 'input', 'rgb', 'original',
    'frame', 'scan',
}  # fmt: skip
_OTHER_WORDS = {'segmentationobject', 'instance', 'depth', 'prediction', 'overlay', 'thumbnail'}
_FILLERS = {'dir', 'set', 'folder', 'data'}  # img_dir, train_set
# Endings of masks, the wanted one first where an image has several.
_PREFERRED = ('labeltrainids', 'labelids', 'mask', 'label')


@dataclass
class Folders:
    """Where a split's images and masks lie, and which of their stems belong to it.

    Args:
        images: Folder of the images, relative to the root.
        masks: The same for masks.
        stems: Paths below the folders, without their endings.
        whole: Whether these are all files of the folders, so that no list is needed.
    """

    images: str
    masks: str
    stems: List[str] = field(default_factory=list)
    whole: bool = True


@dataclass
class Layout:
    """What was found in a folder.

    Args:
        root: The folder.
        parts: Folders of each split.
        image_suffix: Endings of image files.
        mask_suffix: Endings of mask files.
        notes: What was decided, and what was left out, a line each.
    """

    root: Path
    parts: Dict[str, Folders]
    image_suffix: List[str]
    mask_suffix: List[str]
    notes: List[str]


@dataclass(frozen=True)
class _Kind:
    """What the names of a folder say: ``'image'``, ``'mask'`` or ``''``, split and the rest."""

    role: str
    split: str
    rest: Tuple[str, ...]


def find_layout(root: Path, *, ratio: float = 0.8, seed: int = 0, groups: str = '') -> Layout:
    """Pair the images below a folder with their masks and find, or make, the splits.

    Args:
        root: The folder.
        ratio: Share of training images where there is no split.
        seed: Of that split.
        groups: Regular expression whose match in a stem (its first group, if it has one) names
            the patient or sequence; images of one stay together in that split.

    Raises:
        FileNotFoundError: If there is no such folder.
        ValueError: If no pairs are found, or their layout cannot be described.
    """
    if not root.is_dir():
        raise FileNotFoundError(f'{root}: no such folder')
    files = _list_files(root)
    if not files:
        raise ValueError(f'{root}: no image files ({", ".join(IMAGE_SUFFIXES)}) in it')
    kinds = {folder: _kind(folder) for folder in files}
    kinds = {folder: kind for folder, kind in kinds.items() if kind.role != 'other'}
    if any(kind.role == 'mask' for kind in kinds.values()):
        layout = _by_folders(root, files, kinds)
    else:
        layout = _in_one_folder(root, files, kinds)
    _add_splits(layout, ratio=ratio, seed=seed, groups=groups)
    return layout


def _list_files(root: Path) -> Dict[str, List[str]]:
    """Folder below the root -> names of its image files; hidden ones are left out."""
    found = {}
    for folder, folders, names in os.walk(root, followlinks=True):
        folders[:] = sorted(name for name in folders if not name.startswith('.'))
        names = [n for n in names if n.lower().endswith(IMAGE_SUFFIXES) and n[0] != '.']
        if names:
            found[PurePosixPath(os.path.relpath(folder, root)).as_posix()] = sorted(names)
    return found


def _kind(folder: str) -> _Kind:
    role, split, rest = '', '', []
    for part in PurePosixPath(folder).parts:
        left = []
        for word in re.split(r'[_\-. ]+', part.lower()):
            word, cut = _cut_split(word)
            split = cut or split
            one = word[:-1] if word.endswith('s') else word
            if word in _MASK_WORDS or one in _MASK_WORDS:
                role = 'mask'
            elif word in _IMAGE_WORDS or one in _IMAGE_WORDS:
                role = role or 'image'
            elif word in _OTHER_WORDS or one in _OTHER_WORDS:
                role = 'other'
            elif word and word not in _FILLERS:
                left.append(word)
        rest += ['_'.join(left)] if left else []
    return _Kind(role, split, tuple(rest))


def _cut_split(word: str) -> Tuple[str, str]:
    """Take the name of a split off a word: ``trainannot`` is ``annot`` of ``train``."""
    if word in _SPLITS:
        return '', _SPLITS[word]
    for name in sorted(_SPLITS, key=len, reverse=True):
        for rest in (
            word[len(name) :] * word.startswith(name),
            word[: -len(name)] * word.endswith(name),
        ):
            if rest in _MASK_WORDS | _IMAGE_WORDS or rest[:-1] in _MASK_WORDS | _IMAGE_WORDS:
                return rest, _SPLITS[name]
    return word, ''


# ----------------------------------------------------------------- folders of their own


def _by_folders(root: Path, files: Dict[str, List[str]], kinds: Dict[str, _Kind]) -> Layout:
    """Images and masks in folders of their own, told apart by the folders' names."""
    masks = {f: k for f, k in kinds.items() if k.role == 'mask'}
    named = {f: k for f, k in kinds.items() if k.role == 'image'}
    images = named or {f: k for f, k in kinds.items() if k.role == ''}
    if not images:
        raise ValueError(f'{root}: {sorted(masks)} look like masks, and no folder like images')
    splits = sorted({kind.split for kind in images.values()})
    ends = _endings(
        [n for f in images for n in files[f]], [n for f in masks for n in files[f]], root
    )
    layout = Layout(root, {}, *_suffixes(files, images, masks, ends), [])
    for split in splits:
        image_folders = {f: k for f, k in images.items() if k.split == split}
        mask_folders = {f: k for f, k in masks.items() if k.split == split}
        if not mask_folders:
            mask_folders = {f: k for f, k in masks.items() if k.split == ''}
        if not mask_folders:
            layout.notes.append(f'{", ".join(sorted(image_folders))}: left out, as it has no masks')
            continue
        tops = [_top(root, group) for group in (image_folders, mask_folders)]
        part = Folders(tops[0], tops[1])
        _match(part, layout, files)
        if part.stems:
            layout.parts[split] = part
    if not layout.parts:
        raise ValueError(
            f'{root}: no image has a mask of the same name; images: {_example(files, images)}, '
            f'masks: {_example(files, masks)}. The path below the folder of images, without its '
            'ending, must be that below the folder of masks'
        )
    return layout


def _example(files: Dict[str, List[str]], folders: Dict[str, _Kind]) -> str:
    first = sorted(folders)[0]
    return f'{first}/{files[first][0]}'


def _top(root: Path, folders: Dict[str, _Kind]) -> str:
    """The folder below which paths of images and masks are alike."""
    tops = set()
    for folder, kind in folders.items():
        parts = PurePosixPath(folder).parts
        depth = 0
        while depth < len(kind.rest) and _kind(parts[len(parts) - 1 - depth]).role == '':
            depth += 1
        tops.add('/'.join(parts[: len(parts) - depth]) or '.')
    if len(tops) > 1:
        shown = ', '.join(sorted(tops)[:3])
        raise ValueError(
            f'{root}: files of one kind lie in {len(tops)} folders ({shown}, ...): move them below '
            'one, such as images/CASE/1.png and masks/CASE/1.png'
        )
    return tops.pop()


def _match(part: Folders, layout: Layout, files: Dict[str, List[str]]) -> None:
    """Fill in the stems of images that have a mask, and note the others."""
    images = _stems(part.images, layout.image_suffix, files)
    masks = _stems(part.masks, layout.mask_suffix, files)
    part.stems = sorted(images & masks)
    part.whole = images <= masks
    for spare, kind, folder in (
        (sorted(images - masks), 'images without a mask', part.images),
        (sorted(masks - images), 'masks without an image', part.masks),
    ):
        if spare and part.stems:
            layout.notes.append(f'{folder}: {len(spare)} {kind} left out, such as {spare[0]}')


def _stems(folder: str, suffixes: Sequence[str], files: Dict[str, List[str]]) -> set:
    found = set()
    for place, names in files.items():
        if folder not in ('.', place) and not place.startswith(f'{folder}/'):
            continue
        below = os.path.relpath(place, folder)
        for name in names:
            end = next((s for s in suffixes if name.lower().endswith(s)), None)
            if end is not None:
                stem = name[: len(name) - len(end)]
                found.add(stem if below == '.' else f'{PurePosixPath(below).as_posix()}/{stem}')
    return found


def _endings(images: Sequence[str], masks: Sequence[str], root: Path) -> Tuple[str, str]:
    """What image and mask names have behind the stem that they share, suffix aside."""
    image_stems = {os.path.splitext(name)[0] for name in images}
    mask_stems = {os.path.splitext(name)[0] for name in masks}
    if 2 * len(image_stems & mask_stems) >= min(len(image_stems), len(mask_stems)):
        return '', ''
    for image_end in ('', _common_end(image_stems)):
        shorter = {s[: len(s) - len(image_end)] for s in image_stems}
        ends = Counter(
            end for stem in mask_stems for end in [_rest_of(stem, shorter)] if end is not None
        )
        if ends:
            return image_end, _best_end(ends)
    return '', ''  # nothing fits: the caller says so with examples


def _common_end(stems: set) -> str:
    """The ending that all stems share, from a separator on."""
    shared = os.path.commonprefix([stem[::-1] for stem in stems])[::-1]
    found = re.search(r'[_\-. ].*', shared)
    return found.group(0) if found else ''


def _rest_of(stem: str, beginnings: set) -> Optional[str]:
    """What follows the longest beginning that is known."""
    for length in range(len(stem), 0, -1):
        if stem[:length] in beginnings:
            return stem[length:]
    return None


def _best_end(ends: Counter) -> str:
    """The commonest ending; of equally common ones the one that sounds most like class ids."""

    def rank(end: str) -> Tuple[int, int, str]:
        sounds = [i for i, word in enumerate(_PREFERRED) if word in end.lower().replace('_', '')]
        return -ends[end], sounds[0] if sounds else len(_PREFERRED), end

    return min(ends, key=rank)


def _suffixes(
    files: Dict[str, List[str]], images: Dict, masks: Dict, ends: Tuple[str, str]
) -> Tuple[List[str], List[str]]:
    found = []
    for folders, end in ((images, ends[0]), (masks, ends[1])):
        kinds = {os.path.splitext(name)[1].lower() for f in folders for name in files[f]}
        found.append(sorted(f'{end.lower()}{kind}' for kind in kinds))
    return found[0], found[1]


# ------------------------------------------------------------------- one folder for both


def _in_one_folder(root: Path, files: Dict[str, List[str]], kinds: Dict[str, _Kind]) -> Layout:
    """Images and masks side by side, told apart by their endings."""
    by_folder = {f: files[f] for f in kinds}
    endings = _paired_endings([name for names in by_folder.values() for name in names])
    if endings is None:
        raise ValueError(
            f'{root}: no folder is named like masks, and no file like the mask of another: '
            'expected are images/ and masks/ (with train/ and val/ inside, or lists of stems), or '
            'a.jpg with a.png, or a.png with a_mask.png'
        )
    layout = Layout(root, {}, [endings[0]], [endings[1]], [])
    groups: Dict[str, Dict[str, _Kind]] = defaultdict(dict)
    for folder, kind in kinds.items():
        groups[kind.split][folder] = kind
    for split, folders in sorted(groups.items()):
        top = _top(root, folders)
        part = Folders(top, top)
        _match(part, layout, files)
        part.whole = False  # the folder holds masks, too, which are no images
        if part.stems:
            layout.parts[split] = part
    return layout


def _paired_endings(names: Sequence[str]) -> Optional[Tuple[str, str]]:
    """The two endings that most stems have, those of the image first."""
    known = {name.lower() for name in names}
    found: Counter = Counter()
    for name in known:
        stem, suffix = os.path.splitext(name)
        for word in sorted(_MASK_WORDS | {'l', 'masks', 'labels'}):
            for separator in '_-.':
                end = f'{separator}{word}'
                if stem.endswith(end):
                    for other in IMAGE_SUFFIXES:
                        if stem[: -len(end)] + other in known:
                            found[other, end + suffix] += 1
        if suffix in ('.png', '.bmp', '.tif', '.tiff'):
            for other in ('.jpg', '.jpeg'):  # photographs are compressed, labels cannot be
                if stem + other in known:
                    found[other, suffix] += 1
    return max(found, key=lambda pair: (found[pair], pair)) if found else None


# ------------------------------------------------------------------------------- splits


def _add_splits(layout: Layout, *, ratio: float, seed: int, groups: str) -> None:
    """Make sure that there are train and val, by lists in the folder or by chance."""
    parts = layout.parts
    if set(parts) == {''}:
        whole = parts.pop('')
        listed = _by_lists(layout, whole)
        if listed:
            parts.update(listed)
        else:
            parts['train'] = whole
    elif '' in parts:
        left = parts.pop('')
        layout.notes.append(f'{left.images}: left out, as it belongs to no split')
    if 'train' not in parts:
        raise ValueError(
            f'{layout.root}: there is {" and ".join(sorted(parts))}, and nothing to train on: name '
            'a folder, or a list, train'
        )
    if 'val' not in parts:
        train = parts['train']
        own, held = _by_chance(train.stems, ratio=ratio, seed=seed, groups=groups)
        parts['train'] = Folders(train.images, train.masks, own, whole=False)
        parts['val'] = Folders(train.images, train.masks, held, whole=False)
        kept = ', groups kept together' if groups else (
            '; if images come in series (patients, videos), give --groups, or neighbours are on '
            'both sides'
        )  # fmt: skip
        layout.notes.append(
            f'no val: {len(own)} of {len(train.stems)} images for train and {len(held)} for val '
            f'by chance (ratio {ratio}, seed {seed}){kept}'
        )
    layout.parts = {name: parts[name] for name in ('train', 'val', 'test') if name in parts}


def _by_lists(layout: Layout, whole: Folders) -> Dict[str, Folders]:
    """Splits by text files called train.txt, val.txt, test.txt, whose lines name the images."""
    known = set(whole.stems)
    names = {PurePosixPath(stem).name: stem for stem in whole.stems}
    best: Dict[str, Folders] = {}
    for folder in sorted({path.parent for path in layout.root.rglob('train.txt')}):
        found = {}
        for path in sorted(folder.glob('*.txt')):
            split = _SPLITS.get(path.stem.lower())
            if split:
                stems = _listed_stems(path, known, names)
                if stems:
                    found[split] = Folders(whole.images, whole.masks, stems, whole=False)
        size = sum(len(part.stems) for part in found.values())
        if 'train' in found and size > sum(len(part.stems) for part in best.values()):
            best = found
            source = folder.relative_to(layout.root).as_posix()
    if best:
        layout.notes.append(f'split by the lists in {source}')
    return best


def _listed_stems(path: Path, known: set, names: Dict[str, str]) -> List[str]:
    """Stems that a list names, as such, as file names or as paths; none if many are unknown."""
    stems, lines = [], [line.split() for line in path.read_text(errors='replace').splitlines()]
    lines = [line for line in lines if line]
    for first, *_ in lines:
        plain = os.path.splitext(first)[0]
        choices = (first, plain, names.get(PurePosixPath(plain).name))
        stem = next((c for c in choices if c in known), None)
        if stem is not None:
            stems.append(stem)
    return list(dict.fromkeys(stems)) if 2 * len(stems) > len(lines) else []


def _by_chance(
    stems: Sequence[str], *, ratio: float, seed: int, groups: str
) -> Tuple[List[str], List[str]]:
    if not groups:
        return _split(stems, 'images with a mask', ratio=ratio, seed=seed)
    try:
        pattern = re.compile(groups)
    except re.error as error:
        raise ValueError(f'--groups {groups!r} is no regular expression: {error}') from error
    members: Dict[str, List[str]] = defaultdict(list)
    for stem in stems:
        found = pattern.search(stem)
        if found is None:
            raise ValueError(f'--groups {groups!r} does not match the stem {stem!r}')
        members[found.group(1 if found.re.groups else 0)].append(stem)
    own, held = _split(list(members), 'groups', ratio=ratio, seed=seed)
    return (
        sorted(stem for name in own for stem in members[name]),
        sorted(stem for name in held for stem in members[name]),
    )


def _split(
    names: Sequence[str], what: str, *, ratio: float, seed: int
) -> Tuple[List[str], List[str]]:
    if 0 < ratio < 1 and int(len(names) * ratio) == 0:
        raise ValueError(
            f'there is no val, and {len(names)} {what} ({names[0]}, ...) cannot be split at '
            f'--ratio {ratio}: add some, raise it, or name folders, or lists, train and val'
        )
    return split_ids(names, ratio=ratio, seed=seed)
