"""Drives a page in Chromium as a user does: by its debugging protocol, over a pipe."""

import json
import os
import select
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

_FLAGS = (
    '--headless --no-sandbox --disable-gpu --disable-background-networking --no-first-run '
    '--disable-component-update --disable-sync --remote-debugging-pipe about:blank'
).split()


class Page:
    """One page; what Chromium asks and answers are JSON texts that end with a zero byte."""

    def __init__(self, chromium: str, folder: Path) -> None:
        (theirs_in, self._write), (self._read, theirs_out) = os.pipe(), os.pipe()
        pipes = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        self._process = subprocess.Popen(
            ['bash', '-c', pipes, 'bash', chromium, *_FLAGS, f'--user-data-dir={folder}/user'],
            pass_fds=(theirs_in, theirs_out),
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._count, self._waiting, self.errors = 0, b'', []
        self._session = None
        (target,) = [
            t for t in self.call('Target.getTargets')['targetInfos'] if t['type'] == 'page'
        ]
        attach = dict(targetId=target['targetId'], flatten=True)
        self._session = self.call('Target.attachToTarget', **attach)['sessionId']
        for domain in ('Page', 'Runtime', 'Log', 'DOM'):
            self.call(f'{domain}.enable')

    def call(self, method: str, **parameters: Any) -> dict:
        """Ask Chromium for something and return its answer."""
        self._count += 1
        message = dict(id=self._count, method=method, params=parameters)
        if self._session:
            message['sessionId'] = self._session
        os.write(self._write, json.dumps(message).encode() + b'\0')
        while True:
            answer = self._next()
            if answer.get('id') == self._count:
                assert 'error' not in answer, (method, answer)
                return answer['result']
            self._note(answer)

    def _next(self, seconds: float = 60) -> dict:
        while b'\0' not in self._waiting:
            assert select.select([self._read], [], [], seconds)[0], 'Chromium does not answer'
            self._waiting += os.read(self._read, 1 << 16)
        text, _, self._waiting = self._waiting.partition(b'\0')
        return json.loads(text)

    def _note(self, event: dict) -> None:
        """Keep what the page reports as an error."""
        what, told = event.get('method'), event.get('params', {})
        if what == 'Runtime.exceptionThrown' or (
            what == 'Log.entryAdded' and told['entry']['level'] == 'error'
        ):
            self.errors.append(told)

    def ask(self, script: str) -> Any:
        """The value of an expression in the page, awaited if it is a promise."""
        found = self.call(
            'Runtime.evaluate', expression=script, returnByValue=True, awaitPromise=True
        )
        assert 'exceptionDetails' not in found, found
        return found['result'].get('value')

    def wait(self, script: str, seconds: float = 60) -> Any:
        """The value of an expression once it is true."""
        end = time.monotonic() + seconds
        while not (value := self.ask(script)):
            assert time.monotonic() < end, f'never true: {script}'
            time.sleep(0.02)
        return value

    def open(self, url: str, *, width: int = 1200, height: int = 900, dark: bool = False) -> None:
        """Open an address in a window of some size."""
        size = dict(width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call('Emulation.setDeviceMetricsOverride', **size)
        scheme = dict(name='prefers-color-scheme', value='dark' if dark else 'light')
        self.call('Emulation.setEmulatedMedia', features=[scheme])
        self.call('Page.navigate', url=url)
        self.wait(f'location.href === {json.dumps(url)} && document.readyState === "complete"')

    def middle(self, selector: str) -> tuple[float, float]:
        """The middle of an element within the window, after scrolling to it."""
        found = self.ask(
            f'(() => {{ const e = document.querySelector({json.dumps(selector)});'
            'e.scrollIntoView({block: "center"}); const b = e.getBoundingClientRect();'
            'return [b.x + b.width / 2, b.y + b.height / 2] })()'
        )
        return tuple(found)

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """``mouseMoved``, ``mousePressed`` or ``mouseReleased`` at a place of the window."""
        self.call('Input.dispatchMouseEvent', type=kind, x=x, y=y, **more)

    def click(self, selector: str) -> None:
        """Click on the middle of an element."""
        place = self.middle(selector)
        for kind in ('mousePressed', 'mouseReleased'):
            self.mouse(kind, *place, button='left', clickCount=1)

    def drop(self, selector: str, file: Path) -> None:
        """Drag a file from outside onto an element."""
        place = dict(zip('xy', self.middle(selector)))
        data = dict(items=[], files=[str(file)], dragOperationsMask=1)
        for kind in ('dragEnter', 'dragOver', 'drop'):
            self.call('Input.dispatchDragEvent', type=kind, data=data, **place)

    def press(self, key: str, *, shift: bool = False, code: int = 0, text: str = '') -> None:
        """Press and release a key; elements of the browser's own know it by its ``code``."""
        more = dict(modifiers=8 if shift else 0, windowsVirtualKeyCode=code)
        self.call('Input.dispatchKeyEvent', type='keyDown', key=key, text=text, **more)
        self.call('Input.dispatchKeyEvent', type='keyUp', key=key, **more)

    def close(self) -> None:
        """End Chromium."""
        self.call('Browser.close')
        self._process.wait(30)
        os.close(self._write)
        os.close(self._read)


@pytest.fixture(scope='session')
def browser_page(tmp_path_factory: pytest.TempPathFactory):
    """A page that a test drives; skips without Chromium."""
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('no chromium on PATH: apt-get install chromium')
    page = Page(chromium, tmp_path_factory.mktemp('chromium'))
    yield page
    page.close()
