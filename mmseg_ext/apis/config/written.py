"""The configs that the package carries, and how long one of them trains."""

from functools import cache
from pathlib import Path
from typing import Optional

from mmengine.config import Config

PACKAGE = Path(__file__).resolve().parents[2]


def configs_folder() -> Path:
    """The configs of the checkout, or those that an installed package carries."""
    checkout = PACKAGE.parent / 'configs'
    return checkout if checkout.is_dir() else PACKAGE / '.mim' / 'configs'


@cache
def written_length(name: str) -> Optional[int]:
    """Iterations of the package's config of a name; ``None`` if it has none, or counts epochs."""
    found = sorted(configs_folder().glob(f'*/{name}.py')) if name else []
    if not found:
        return None
    cfg = Config.fromfile(found[0], use_environment_variables=False)  # which are told as a log line
    return cfg.train_cfg.get('max_iters')
