"""Products of bfloat16 on every processor, also where only torch's imitation has them."""

import pytest

from mmseg_ext.apis.bench import forms, memory, throughput, training
from mmseg_ext.apis.run.network import fast
from mmseg_ext.apis.run.outcome import facts
from mmseg_ext.engine import optim_wrapper


@pytest.fixture
def half(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let what would turn to float32 on such a processor compute in bfloat16."""
    for module in (optim_wrapper, forms, memory, throughput, training, fast, facts):
        monkeypatch.setattr(module, 'is_imitated', lambda device: False)
