"""Write configs as they are: to lay them out takes longer than a training of two steps."""

from collections.abc import Iterator
from typing import Any

import pytest


def _as_it_is(text: str, **_: Any) -> tuple[str, bool]:
    return text, True


@pytest.fixture(scope='module')
def unformatted() -> Iterator[None]:
    """In the tests of a module mmengine lays no config out."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            'yapf.yapflib.yapf_api.FormatCode', _as_it_is
        )  # the fork imports it each time
        patch.setattr('mmengine.config.config.FormatCode', _as_it_is, raising=False)
        yield
