"""``register_all_modules``, which ``mmengine.hub`` imports under this name, and nothing else."""

from mmengine.registry import DefaultScope

__all__ = ['register_all_modules']


def register_all_modules(init_default_scope: bool = True) -> None:
    """Register mmseg's modules and ours.

    Args:
        init_default_scope: Make ``mmseg`` the scope in which ``type=...`` names are looked up.
    """
    import mmseg.utils

    from .. import registry  # noqa: F401  importing the package registers everything

    mmseg.utils.register_all_modules(init_default_scope=False)
    if init_default_scope and DefaultScope.get_current_instance() is None:
        DefaultScope.get_instance('mmseg', scope_name='mmseg')
