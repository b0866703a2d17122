"""Rules that adapt the modules of a config to a user's data, one per type that names classes.

For each argument that names classes, a rule gives a function of ``changes.py`` that changes it. An
argument that names classes but has no rule is kept and reported. ``docs/adding_a_paper.md``
explains when a module needs a rule, and how to add it.
"""

import logging
from collections.abc import Iterable
from dataclasses import replace
from typing import Any, NamedTuple, Optional

from mmseg.registry import MODELS, TRANSFORMS

from .changes import (
    Case,
    Rule,
    as_in_row,
    background,
    counts,
    default_for_list,
    elsewhere,
    filled,
    if_given,
    ignored,
    many_classes,
    number,
    own_background,
    padded,
    positive,
    scale,
    scales,
    size,
    weights,
    without,
)
from .loaders import kind_of

# Names of arguments that depend on classes, in this package, mmseg and mmcv.
CLASS_ARGUMENTS = (
    'background',
    'background_index',
    'class_names',
    'class_weight',
    'classes',
    'counts',
    'dataset_name',
    'ignore_index',
    'ignore_label',
    'image_pixels',
    'label_fill',
    'label_map',
    'num_classes',
    'palette',
    'positive',
    'reduce_zero_label',
    'seg_fill_in',
    'seg_pad_val',
)

RULES: dict[str, Rule] = {
    # losses
    'BalancedCrossEntropyLoss': dict(
        class_weight=weights, counts=counts, image_pixels=elsewhere, positive=positive
    ),
    'CrossEntropyLoss': dict(class_weight=weights),
    'DiceLoss': dict(ignore_index=if_given(ignored)),
    'FocalLoss': dict(class_weight=weights, alpha=default_for_list),
    'HuasdorffDisstanceLoss': dict(class_weight=weights, ignore_index=ignored),
    'LovaszLoss': dict(class_weight=weights, loss_type=many_classes, classes=default_for_list),
    'OhemCrossEntropy': dict(class_weight=weights, ignore_label=ignored),
    'SoftmaxFocalLoss': dict(class_weight=weights),
    'TverskyLoss': dict(class_weight=weights, ignore_index=ignored),
    'mmdet.CrossEntropyLoss': dict(class_weight=weights),
    # steps of pipelines
    'AlignedResize': dict(scale=scale),
    'BioMedical3DPad': dict(seg_pad_val=if_given(ignored)),
    'BorderWeight': dict(background=background, class_weight=weights, ignore_index=ignored),
    'GenerateEdge': dict(ignore_index=ignored),
    'Letterbox': dict(size=size),
    'LetterboxAugment': dict(label_fill=filled, size=size),
    'LoadAnnotations': dict(reduce_zero_label=elsewhere),
    'LoadLabels': dict(ignore_index=elsewhere, num_classes=elsewhere),
    'Pad': dict(pad_val=padded),
    'RandomChoiceResize': dict(scales=scales),
    'RandomCrop': dict(crop_size=size, ignore_index=ignored),
    'RandomCutOut': dict(seg_fill_in=if_given(ignored)),
    'RandomMosaic': dict(seg_pad_val=ignored),
    'RandomResize': dict(scale=scale),
    'RandomRotate': dict(seg_pad_val=ignored),
    'Resize': dict(scale=scale),
    'ResizeShortestEdge': dict(scale=scale),
    # parts of networks
    'MaskRCNNSegmentor': dict(background_index=background, label_map=as_in_row),
    'SegDataPreProcessor': dict(seg_pad_val=ignored),
}

# Rules by the place in a config, for any type: heads of a network, the network and nested heads,
# metrics. The rule of the type is added and has priority.
HEAD: Rule = dict(num_classes=number, out_channels=if_given(number), ignore_index=ignored)
INNER: Rule = dict(num_classes=if_given(number), ignore_index=if_given(ignored))
METRIC: Rule = dict(
    group_pattern=without,
    unit=without,
    ignore_index=if_given(ignored),
    background_index=if_given(own_background),
)


class Note(NamedTuple):
    """A message for the user, with its level of ``logging``."""

    text: str
    level: int = logging.INFO


def rule_of(kind: Any) -> Rule:
    """Return the rule of a type, or of its nearest base class; empty if there is none.

    Args:
        kind: The class, or its registered name. A type of a library other than mmseg has a rule
            only under its full name, such as ``mmdet.CrossEntropyLoss``, because a type of the same
            name may take other arguments there.
    """
    if isinstance(kind, str):
        scope, _, name = kind.rpartition('.')
        if scope not in ('', 'mmcv', 'mmseg', 'mmseg_ext'):
            return RULES.get(kind, {})
        found = MODELS.get(name) or TRANSFORMS.get(name)
        names = [name, *_names(found)]
    else:
        names = _names(kind)
    return next((RULES[name] for name in names if name in RULES), {})


def _names(kind: Any) -> list[str]:
    return [base.__name__ for base in getattr(kind, '__mro__', ())]


def without_rule(arguments: Iterable[str], rule: Rule) -> list[str]:
    """Return the arguments that name classes and are not in a rule."""
    return [name for name in arguments if name in CLASS_ARGUMENTS and name not in rule]


def follow(module: dict, case: Case, where: str, *, place: Optional[Rule] = None) -> list[Note]:
    """Change a module's settings by its rule.

    Args:
        module: Settings with their ``type``, changed in place. Without a type, only ``place``
            applies.
        case: The data.
        where: Key of the module in the config, for the user.
        place: Rule for every module at this place.

    Returns:
        Notes on what was changed, and on arguments that name classes but have no rule.
    """
    rule = {**(place or {}), **(rule_of(module['type']) if 'type' in module else {})}
    unknown = without_rule(module, rule)
    notes = [change(module, name, case) for name, change in rule.items()]
    settled = (None, False, len(case.data.file.classes))
    left = {name: module[name] for name in unknown if module[name] not in settled}
    found = [Note(note) for note in notes if note]
    return [*found, _warning(module, where, left)] if left else found


def _warning(module: dict, where: str, left: dict[str, Any]) -> Note:
    kind = f'{kind_of(module)} ({where})' if 'type' in module else where
    return Note(
        f'{kind} names classes by {", ".join(left)}, and no rule says what that becomes on these '
        'data: it stays as in the row. Set it by --cfg-options, or declare a rule '
        '(docs/adding_a_paper.md)',
        logging.WARNING,
    )


def follow_model(part: Any, case: Case, where: str = 'model') -> list[Note]:
    """Change the settings of a network and of all modules in it, the innermost first.

    Heads are found by their keys, which end in ``_head``; their losses get weights for as many
    classes as they have.

    Args:
        part: The network, or a part of it.
        case: The data.
        where: Key of the part in the config.
    """
    if isinstance(part, (list, tuple)):
        return [note for one in part for note in follow_model(one, case, where)]
    if not isinstance(part, dict):
        return []
    place: Rule = {}
    if where == 'model' or where.endswith('_head'):
        place = HEAD if where.count('.') == 1 else INNER
        case = replace(case, classes=part.get('num_classes'))
    if place is HEAD:
        _split_channel(part)
    inner = [n for key, value in part.items() for n in follow_model(value, case, f'{where}.{key}')]
    return [*inner, *follow(part, case, where, place=place)]


def _split_channel(head: dict) -> None:
    """Give a head with a single channel for two classes one channel per class."""
    if head.get('out_channels') != 1:
        return
    head.pop('threshold', None)
    for key, value in head.items():
        if str(key).startswith('loss'):
            for loss in value if isinstance(value, (list, tuple)) else [value]:
                if isinstance(loss, dict):
                    loss.pop('use_sigmoid', None)
