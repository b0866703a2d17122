"""Label Studio and datumaro in environments of their own, which tests speak to in processes.

They pin versions that this package's environment has otherwise. ``make test-full`` creates the
environments; ``MMSEG_EXT_VENV_LABELSTUDIO`` and ``MMSEG_EXT_VENV_DATUMARO`` name others.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from .paths import ROOT

_TOKEN = 'cafe' * 10
_STARTS_IN = 240  # seconds; the first start fills its data base


def python_of(name: str) -> Path:
    """The Python of an environment; without it the test is skipped, with the reason."""
    folder = Path(os.environ.get(f'MMSEG_EXT_VENV_{name.upper()}') or ROOT / f'.venv-{name}')
    python, why_not = folder / 'bin' / 'python', folder / 'why-not'
    if why_not.is_file():
        lines = [line for line in why_not.read_text().splitlines() if line.strip()]
        pytest.skip(f'pip could not install into {folder.name}: {lines[-1] if lines else "?"}')
    if not python.is_file():
        pytest.skip(f'needs {folder.name}, which make test-full creates')
    return python


def ask(python: Path, code: str, value: Any) -> Any:
    """What a program makes of a value: it finds ``value``, and leaves ``result``."""
    program = (
        f'import json, sys\nvalue = json.load(sys.stdin)\n{code}\njson.dump(result, sys.stdout)'
    )
    done = subprocess.run(
        [str(python), '-c', program],
        input=json.dumps(value),
        capture_output=True,
        text=True,
        env=_environment(),
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def _environment(**more: str) -> dict[str, str]:
    ours = ('PYTHONPATH', 'VIRTUAL_ENV')
    return {**{key: value for key, value in os.environ.items() if key not in ours}, **more}


class LabelStudio(NamedTuple):
    """A server of our own.

    Args:
        address: Where it listens, on loopback.
        served: Folder whose subfolders it may show.
    """

    address: str
    served: Path

    def get(self, path: str) -> bytes:
        """Read what it answers."""
        return self._send('GET', path, None)

    def post(self, path: str, content: Any) -> Any:
        """Send JSON."""
        return json.loads(self._send('POST', path, json.dumps(content).encode()))

    def _send(self, method: str, path: str, content: Any) -> bytes:
        headers = {'Authorization': f'Token {_TOKEN}', 'Content-Type': 'application/json'}
        request = urllib.request.Request(self.address + path, content, headers, method=method)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # it is loopback
        try:
            with opener.open(request, timeout=60) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            text = error.read().decode(errors='replace')
            raise AssertionError(f'{method} {path}: {error.code} {text}') from error


@contextlib.contextmanager
def label_studio(folder: Path) -> Iterator[LabelStudio]:
    """Start a server with SQLite in a folder; the test is skipped if it does not start."""
    python = python_of('labelstudio')
    served = folder / 'served'
    served.mkdir()
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = free.getsockname()[1]
    server = LabelStudio(f'http://127.0.0.1:{port}', served)
    log = folder / 'server.log'
    with log.open('w') as stream:
        process = subprocess.Popen(
            [str(python.with_name('label-studio')), 'start', '--no-browser', '--port', str(port),
             '--internal-host', '127.0.0.1', '--username', 'a@example.org',
             '--password', 'secret-1234', '--user-token', _TOKEN],
            env=_environment(
                LABEL_STUDIO_BASE_DATA_DIR=str(folder / 'data'),
                LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED='true',
                LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=str(served),
                LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN='true',
                COLLECT_ANALYTICS='False', SENTRY_DSN='', FRONTEND_SENTRY_DSN='',
                LATEST_VERSION_CHECK='False', DJANGO_DB='sqlite',
            ),
            stdout=stream, stderr=subprocess.STDOUT, cwd=folder, start_new_session=True,
        )  # fmt: skip
    try:
        _wait(server, process, log)
        yield server
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(30)


def _wait(server: LabelStudio, process: subprocess.Popen, log: Path) -> None:
    end = time.monotonic() + _STARTS_IN
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, AssertionError):
            server.get('/api/projects')
            return
        time.sleep(1)
    lines = [line for line in log.read_text(errors='replace').splitlines() if line.strip()]
    pytest.skip(f'Label Studio did not start: {lines[-1] if lines else "it said nothing"}')
