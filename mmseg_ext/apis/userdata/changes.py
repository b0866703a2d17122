"""How single arguments follow a user's data: what the rules of ``rules.py`` are made of.

Each function changes one argument in the settings of a module and returns what to tell the user.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from .crop import Crop, fitted_scale, smaller_scales
from .data import UserData
from .loaders import kind_of


@dataclass(frozen=True)
class Case:
    """What a rule looks at besides the settings that it changes.

    Args:
        data: The user's.
        classes: Number of classes of the row's head, for a loss.
        crop: Sizes of the row and of the run, for a transform; ``None`` in a row without a crop.
    """

    data: UserData
    classes: Optional[int] = None
    crop: Optional[Crop] = None


# Changes one argument in a module's settings; returns what to tell the user.
Change = Callable[[dict, str, Case], Optional[str]]
Rule = dict[str, Change]


def number(settings: dict, name: str, case: Case) -> None:
    """Set the number of classes."""
    settings[name] = len(case.data.file.classes)


def ignored(settings: dict, name: str, case: Case) -> None:
    """Set the label of pixels that do not count, unless the row says that there is none."""
    if settings.get(name, 0) is not None:
        settings[name] = case.data.file.ignore_index


def background(settings: dict, name: str, case: Case) -> None:
    """Set the id of the background, where the data have one; every module's default is 0."""
    found = case.data.background
    if found is not None and settings.get(name, 0) != found:
        settings[name] = found


def own_background(settings: dict, name: str, case: Case) -> None:
    """Set the id of the background, ``None`` where the data have none."""
    settings[name] = case.data.background


def without(settings: dict, name: str, case: Case) -> None:
    """Take out what only the row's images fit."""
    settings.pop(name, None)


def if_given(change: Change) -> Change:
    """Change an argument only where the row gives it."""

    def changed(settings: dict, name: str, case: Case) -> Optional[str]:
        return change(settings, name, case) if settings.get(name) is not None else None

    return changed


def as_in_row(settings: dict, name: str, case: Case) -> Optional[str]:
    """Leave an argument that no rule can derive from the data, and say so."""
    if settings.get(name) is None:
        return None
    return f'{name} of {kind_of(settings)}: {settings[name]}, as in the row'


def default_for_list(settings: dict, name: str, case: Case) -> Optional[str]:
    """Take out a list of one number for each of the row's classes."""
    if not isinstance(settings.get(name), (list, tuple)):
        return None
    del settings[name]
    return f"{name} of {kind_of(settings)}: the loss's own default"


def weights(settings: dict, name: str, case: Case) -> Optional[str]:
    """Replace weights of classes by the median-frequency weights of the training masks."""
    given = settings.get(name)
    if given is None:
        return None
    of_classes = case.data.median_weights()
    # Networks that classify masks have one weight more, for "no object".
    spare = isinstance(given, (list, tuple)) and case.classes and len(given) == case.classes + 1
    settings[name] = of_classes + (list(given)[-1:] if spare else [])
    named = dict(zip(case.data.file.classes, of_classes))
    return f'class weights of {kind_of(settings)}: {named}'


def counts(settings: dict, name: str, case: Case) -> Optional[str]:
    """Replace pixels of classes, and of the images that they occur in, by the training masks'."""
    if settings.get(name) is None:
        return None
    settings[name], settings['image_pixels'] = (row.tolist() for row in case.data.pixels())
    return f'{name} of {kind_of(settings)}: {settings[name]}'


def positive(settings: dict, name: str, case: Case) -> Optional[str]:
    """Say which classes a two-class loss treats as the object; by default all but class 0."""
    asked = settings.get('mode', 'softmax') == 'softmax'
    if not asked or not (settings.get(name) or case.data.background != 0):
        return None
    settings[name] = case.data.positive()
    names = ', '.join(case.data.file.classes[k] for k in settings[name])
    return f'positive classes of {kind_of(settings)}: {names}'


def elsewhere(settings: dict, name: str, case: Case) -> None:
    """Leave an argument that follows with another one, or with the data set."""


def many_classes(settings: dict, name: str, case: Case) -> None:
    """Let a loss for two classes count all of them."""
    if settings.get(name) == 'binary':
        settings[name] = 'multi_class'


def filled(settings: dict, name: str, case: Case) -> None:
    """Fill up with background as the row's repository does, or with pixels that do not count."""
    settings[name] = 0 if case.data.background == 0 else case.data.file.ignore_index


def padded(settings: dict, name: str, case: Case) -> None:
    """Set the label in the padding of image and labels, ``dict(img=..., seg=...)``."""
    if isinstance(settings.get(name), dict):
        settings[name] = dict(settings[name], seg=case.data.file.ignore_index)


def size(settings: dict, name: str, case: Case) -> None:
    """Set the crop, H and W."""
    if case.crop is not None:
        settings[name] = case.crop.after


def scale(settings: dict, name: str, case: Case) -> None:
    """Fit the base size of a resize, see :func:`~.crop.fitted_scale`; a single side stays."""
    if case.crop is not None and settings.get(name) and not isinstance(settings[name], int):
        settings[name] = fitted_scale(settings, case.crop)


def scales(settings: dict, name: str, case: Case) -> None:
    """Fit the sizes that a resize chooses from, see :func:`~.crop.smaller_scales`."""
    if case.crop is not None and settings.get(name):
        settings[name] = smaller_scales(settings[name], case.crop.native)
