"""Find the configs of the package and their number of training iterations."""

from functools import cache
from pathlib import Path
from typing import Optional

from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parents[2]


def configs_folder() -> Path:
    """Return the folder of the configs, in the checkout or in the installed package."""
    checkout = PACKAGE.parent / 'configs'
    return checkout if checkout.is_dir() else PACKAGE / '.mim' / 'configs'


@cache
def written_length(name: str) -> Optional[int]:
    """Return the training iterations of a config of the package.

    ``None`` means that the package has no config of this name, or that the config counts epochs.
    """
    found = sorted(configs_folder().glob(f'*/{name}.py')) if name else []
    if not found:
        return None
    cfg = Config.fromfile(found[0], use_environment_variables=False)  # mmengine would log their use
    return cfg.train_cfg.get('max_iters')
