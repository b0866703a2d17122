"""Changes of single arguments for a user's data, from which ``rules.py`` builds its rules.

Each function changes one argument in the settings of a module and returns a message or None.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Optional

from .crop import Crop, fitted_scale, smaller_scales
from .data import UserData
from .loaders import kind_of


@dataclass(frozen=True)
class Case:
    """What a rule needs to know besides the settings that it changes.

    Args:
        data: The user's data.
        classes: Number of classes of the head, for a loss.
        crop: Crop sizes of the row and of the run, for a transform; ``None`` without a crop.
    """

    data: UserData
    classes: Optional[int] = None
    crop: Optional[Crop] = None


# Changes one argument in the settings of a module; returns a message for the user.
Change = Callable[[dict, str, Case], Optional[str]]
Rule = dict[str, Change]


def number(settings: dict, name: str, case: Case) -> None:
    """Set the number of classes."""
    settings[name] = len(case.data.file.classes)


def ignored(settings: dict, name: str, case: Case) -> None:
    """Set the ignored label, unless the row says that there is none."""
    if settings.get(name, 0) is not None:
        settings[name] = case.data.file.ignore_index


def background(settings: dict, name: str, case: Case) -> None:
    """Set the id of the background if the data have one; the default of every module is 0."""
    found = case.data.background
    if found is not None and settings.get(name, 0) != found:
        settings[name] = found


def own_background(settings: dict, name: str, case: Case) -> None:
    """Set the id of the background, or ``None`` if the data have none."""
    settings[name] = case.data.background


def without(settings: dict, name: str, case: Case) -> None:
    """Remove a setting that fits only the row's images."""
    settings.pop(name, None)


def if_given(change: Change) -> Change:
    """Apply a change only if the row sets the argument."""

    def changed(settings: dict, name: str, case: Case) -> Optional[str]:
        return change(settings, name, case) if settings.get(name) is not None else None

    return changed


def as_in_row(settings: dict, name: str, case: Case) -> Optional[str]:
    """Keep an argument that cannot be derived from the data, with a message."""
    if settings.get(name) is None:
        return None
    return f'{name} of {kind_of(settings)}: {settings[name]}, as in the row'


def default_for_list(settings: dict, name: str, case: Case) -> Optional[str]:
    """Remove a list with one number per class of the row."""
    if not isinstance(settings.get(name), (list, tuple)):
        return None
    del settings[name]
    return f"{name} of {kind_of(settings)}: the loss's own default"


def weights(settings: dict, name: str, case: Case) -> Optional[str]:
    """Replace class weights by the median-frequency weights of the training masks."""
    given = settings.get(name)
    if given is None:
        return None
    of_classes = case.data.median_weights()
    # Networks that classify masks have one more weight, for "no object".
    spare = isinstance(given, (list, tuple)) and case.classes and len(given) == case.classes + 1
    settings[name] = of_classes + (list(given)[-1:] if spare else [])
    named = dict(zip(case.data.file.classes, of_classes))
    return f'class weights of {kind_of(settings)}: {named}'


def counts(settings: dict, name: str, case: Case) -> Optional[str]:
    """Replace the pixel counts of classes and of their images by those of the training masks."""
    if settings.get(name) is None:
        return None
    settings[name], settings['image_pixels'] = (row.tolist() for row in case.data.pixels())
    return f'{name} of {kind_of(settings)}: {settings[name]}'


def positive(settings: dict, name: str, case: Case) -> Optional[str]:
    """Set the positive classes of a two-class loss; the default is all but class 0."""
    asked = settings.get('mode', 'softmax') == 'softmax'
    if not asked or not (settings.get(name) or case.data.background != 0):
        return None
    settings[name] = case.data.positive()
    names = ', '.join(case.data.file.classes[k] for k in settings[name])
    return f'positive classes of {kind_of(settings)}: {names}'


def elsewhere(settings: dict, name: str, case: Case) -> None:
    """Keep an argument that is set through another argument, or by the data set."""


def many_classes(settings: dict, name: str, case: Case) -> None:
    """Extend a loss for two classes to all classes."""
    if settings.get(name) == 'binary':
        settings[name] = 'multi_class'


def filled(settings: dict, name: str, case: Case) -> None:
    """Pad with background as the row's repository does, or with the ignored label."""
    settings[name] = 0 if case.data.background == 0 else case.data.file.ignore_index


def padded(settings: dict, name: str, case: Case) -> None:
    """Set the label in a padding value for image and labels, ``dict(img=..., seg=...)``."""
    if isinstance(settings.get(name), dict):
        settings[name] = dict(settings[name], seg=case.data.file.ignore_index)


def size(settings: dict, name: str, case: Case) -> None:
    """Set the crop size (H, W)."""
    if case.crop is not None:
        settings[name] = case.crop.after


def scale(settings: dict, name: str, case: Case) -> None:
    """Adapt the base size of a resize, see :func:`~.crop.fitted_scale`; a single side stays."""
    if case.crop is not None and settings.get(name) and not isinstance(settings[name], int):
        settings[name] = fitted_scale(settings, case.crop)


def scales(settings: dict, name: str, case: Case) -> None:
    """Adapt the list of sizes of a resize, see :func:`~.crop.smaller_scales`."""
    if case.crop is not None and settings.get(name):
        settings[name] = smaller_scales(settings[name], case.crop.native)
