"""When everything is registered: before anybody can ask for it, and not before it is needed."""

import subprocess
import sys
import textwrap

import pytest
from support.paths import ROOT

import mmseg_ext
from mmseg_ext import registration


def test_importing_the_package_imports_nothing_heavy():
    code = 'import sys, mmseg_ext; print(*sorted({name.split(".")[0] for name in sys.modules}))'
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    loaded = done.stdout.split()
    assert done.returncode == 0 and 'mmseg_ext' in loaded, done.stderr
    heavy = {'torch', 'numpy', 'mmengine', 'mmcv', 'mmseg', 'cv2', 'PIL', 'yaml', 'rich'}
    assert heavy.isdisjoint(loaded)


def test_what_registers_itself_is_an_attribute():
    from mmseg.registry import MODELS

    assert mmseg_ext.models.decode_heads.FMSIHead is MODELS.get('FMSIHead')
    assert all(getattr(mmseg_ext, part).__doc__ for part in (*registration.PARTS, 'apis'))
    with pytest.raises(AttributeError, match="'mmseg_ext' has no attribute 'modles'"):
        mmseg_ext.modles  # noqa: B018


def test_registering_twice_changes_nothing():
    from mmengine.runner import checkpoint
    from mmseg.registry import MODELS

    before = dict(MODELS.module_dict), checkpoint.save_checkpoint, checkpoint.load_from_local
    registration.register()
    assert (
        dict(MODELS.module_dict),
        checkpoint.save_checkpoint,
        checkpoint.load_from_local,
    ) == before


FIRST = {
    'import mmengine': True,  # before ours
    'from mmseg.registry import MODELS': False,
    'import mmseg_ext.core.checkpoints, mmseg_ext.core.headers, mmengine': False,
    'import mmseg_ext.models.layers.eca': False,
    'import mmseg_ext.apis.run.config': False,
    'mmseg_ext.engine': False,
}


@pytest.mark.slow
@pytest.mark.parametrize('first', FIRST)
def test_nobody_sees_a_registry_without_our_modules(first):
    """In a process of its own, whatever is imported first."""
    order = [first, 'import mmseg_ext'] if FIRST[first] else ['import mmseg_ext', first]
    code = '\n'.join(order) + textwrap.dedent("""
        from mmengine.runner import checkpoint
        from mmseg.registry import DATASETS, HOOKS, METRICS, MODELS, TRANSFORMS
        assert 'FMSIHead' in MODELS and MODELS.get('ECA') is not None
        assert 'SegMetric' in METRICS and 'NonFiniteHook' in HOOKS and 'LoadLabels' in TRANSFORMS
        assert 'ShapesDataset' in DATASETS
        assert checkpoint.load_from_local.__module__ == 'mmseg_ext.core.checkpoints'
        assert mmseg_ext.models.layers.ECA is MODELS.get('ECA')
    """)
    done = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
