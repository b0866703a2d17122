"""Opens a page in a real browser and measures it."""

import json
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path

import pytest

_FRAME = """<html><body>
<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>
<p id="out"></p><script>
window.onload = () => {{
  const page = document.getElementById('f').contentDocument;
  const images = [...page.images];
  const probed = (() => {{ {probe} }})();
  document.getElementById('out').textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth, probed,
    broken: images.filter(image => image.naturalWidth === 0).length, images: images.length}});
}};
</script></body></html>"""


@pytest.fixture
def browser_view(tmp_path: Path):
    """The function that opens a page in a real browser of some width; skips without Chromium."""
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('no chromium on PATH: apt-get install chromium')
    flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking']
    flags += ['--disable-component-update', '--disable-sync', f'--user-data-dir={tmp_path}/user']
    flags += ['--enable-logging=stderr', '--allow-file-access-from-files', '--dump-dom']

    def view(html: Path, width: int, probe: str = 'return null') -> dict:
        """Return the width that the page takes, its images, the broken ones, console errors.

        ``probe`` is the body of a function that may look at and click in ``page``.
        """
        shutil.copy(html, tmp_path / 'page.html')
        frame = tmp_path / 'frame.html'  # a window itself cannot be as narrow as a telephone
        frame.write_text(_FRAME.format(width=width, probe=probe))
        done = subprocess.run(
            [chromium, *flags, frame.as_uri()], capture_output=True, text=True, timeout=120
        )
        found = re.search(r'<p id="out">(.+?)</p>', done.stdout, re.DOTALL)
        assert found, done.stderr[-2000:]
        errors = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
        return dict(json.loads(unescape(found.group(1))), errors=errors)

    return view
