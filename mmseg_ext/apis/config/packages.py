"""Check of optional packages: tells what to install before a model needs a missing package.

mmengine reports a missing mmpretrain as a type that is not registered, and a torchvision for
another torch version as an unknown operator, both in a traceback.
"""

import importlib
from collections.abc import Iterator
from typing import Any

from ...env import import_torchvision, version_of


def check_packages(model: Any) -> None:
    """Import the packages that a model needs beyond this package's requirements.

    Args:
        model: Config of the model.

    Raises:
        ImportError: If one is missing; the message names the setting and what to install.
    """
    # mmengine always imports torchvision if it is installed.
    if version_of('torchvision') is not None:
        import_torchvision('mmengine')
    for setting, kind in _types(model, 'model'):
        user = f'{setting}.type={kind}'
        if kind.startswith('mmpretrain.'):
            import_torchvision(user)
            import_package('mmpretrain.models', user, '"mmpretrain>=1.2,<1.3"')
        elif kind == 'TIMMBackbone':
            import_torchvision(user)
            import_package('timm', user, 'timm, and start again')
        elif kind == 'MaskRCNNSegmentor':
            import_torchvision(user)


def _types(cfg: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(cfg, (list, tuple)):
        for index, part in enumerate(cfg):
            yield from _types(part, f'{name}.{index}')
    elif isinstance(cfg, dict):
        if isinstance(cfg.get('type'), str):
            yield name, cfg['type'].removeprefix('mmseg.').removeprefix('mmseg_ext.')
        for key, part in cfg.items():
            yield from _types(part, f'{name}.{key}')


def import_package(module: str, user: str, what: str) -> None:
    """Import a package that is no requirement.

    Args:
        module: Name of the module.
        user: Setting or argument that needs it.
        what: What pip installs.

    Raises:
        ImportError: If it is missing, with the command.
    """
    try:
        importlib.import_module(module)
    except Exception as error:  # an incomplete installation may raise any type
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ImportError(
            f'{user} needs {module.split(".")[0]} ({reason[0]}): pip install {what}'
        ) from error
