"""Networks that fetch no weights as they are built: theirs come from a checkpoint, or from chance.

mmseg and mmengine load the weights that a network starts from later, in ``init_weights``. timm
and torchvision load them as they build.
"""

from typing import Any


def untrained(settings: Any) -> Any:
    """Copy a model's settings so that none of its parts asks for weights as it is built.

    Args:
        settings: Config of a model or a part of it.

    Returns:
        The same, with ``pretrained=False`` for each ``TIMMBackbone``, mmseg's and mmpretrain's, and
        ``fetch_weights=False`` for each ``MaskRCNNSegmentor``.
    """
    if isinstance(settings, (list, tuple)):
        return type(settings)(untrained(part) for part in settings)
    if not isinstance(settings, dict):
        return settings
    copied = type(settings)({key: untrained(part) for key, part in settings.items()})
    kind = str(copied.get('type')).rpartition('.')[2]
    if kind == 'TIMMBackbone' and 'pretrained' in copied:
        copied['pretrained'] = False
    if kind == 'MaskRCNNSegmentor':
        copied['fetch_weights'] = False
    return copied
