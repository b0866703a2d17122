"""Say that other distributions are installed than are."""

import importlib.metadata
from collections.abc import Callable

import pytest


@pytest.fixture
def installed_are(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[str, str]], None]:
    """A function that says which distributions are installed, by version; there are no others."""

    def say(versions: dict[str, str]) -> None:
        def version(name: str) -> str:
            if name in versions:
                return versions[name]
            raise importlib.metadata.PackageNotFoundError(name)

        monkeypatch.setattr(importlib.metadata, 'version', version)

    return say
