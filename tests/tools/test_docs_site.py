"""The site of ``make docs``: its pages, its links, its reference; and a whole build."""

import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from support.label_tools import python_of
from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import docs_site as site

import mmseg_ext
from mmseg_ext import apis


def named(entries):
    """The pages of a navigation, of its sections, too."""
    for entry in entries:
        value = next(iter(entry.values())) if isinstance(entry, dict) else entry
        yield from named(value) if isinstance(value, list) else [value]


def test_every_page_is_in_the_navigation_once():
    nav = yaml.safe_load((ROOT / 'mkdocs.yml').read_text())['nav']
    pages = [path.relative_to(ROOT / 'docs').as_posix() for path in (ROOT / 'docs').rglob('*.md')]
    assert len(pages) >= 12
    assert sorted(named(nav)) == sorted([*pages, *site.OUTSIDE.values()])
    assert {'Papers', 'Reference'} <= {name for item in nav for name in item}
    assert len(site.cards()) == 5


def test_links_lead_to_pages_and_copies():
    text = (
        '[a](../README.md#two-commands) [b](data.md) [c](https://example.org) [d](#here)\n'
        '![e](rooms.svg) [f](../configs/fmsi/README.md) [g](../LICENSE)\n'
        '```md\n[kept](../README.md)\n```\n[h](results/mfp_speed.md)\n'
    )
    assert site.turn_links(text, 'docs/architecture.md') == (
        '[a](index.md#two-commands) [b](data.md) [c](https://example.org) [d](#here)\n'
        '![e](rooms.svg) [f](papers/fmsi.md) [g](files/LICENSE)\n'
        '```md\n[kept](../README.md)\n```\n[h](results/mfp_speed.md)\n'
    )
    card = '[a](results.csv) ![b](../../docs/results/x.svg) [c](../mfp/README.md)'
    assert site.turn_links(card, 'configs/fmsi/README.md') == (
        '[a](../files/configs/fmsi/results.csv) ![b](../results/x.svg) [c](mfp.md)'
    )
    assert 'configs/fmsi/results.csv' in site.linked_files()


def test_inner_lists_and_blocks_stay_inner():
    """GitHub takes two or three blanks before them, mkdocs four."""
    files = [*site.pages_outside(), *(f'docs/{p.name}' for p in (ROOT / 'docs').glob('*.md'))]
    flat = [
        f'{file}: {line}'
        for file in files
        for part in site.FENCE.split((ROOT / file).read_text())[::2]
        for line in part.splitlines()
        if re.match(r' {1,3}([-*] |\d+\. |```)', line)
    ]
    assert len(files) >= 19 and flat == []


@pytest.mark.parametrize('package', ['mmseg_ext', 'mmseg_ext.apis'])
def test_the_reference_lists_what_a_package_offers(package):
    found = site.exports(package)
    offered = {'mmseg_ext': {'Predictor'}, 'mmseg_ext.apis': set(apis.__all__)}[package]
    assert set(found) >= offered
    for name in offered:
        assert getattr(sys.modules[package], name).__module__ == found[name]


def test_the_reference_lists_what_packages_import():
    found = site.exports('mmseg_ext.models.losses')
    assert found['SoftDiceLoss'] == 'mmseg_ext.models.losses.soft_dice'
    assert set(found) == set(mmseg_ext.models.losses.__all__)
    assert site.exports('mmseg_ext.engine')['hooks'] == 'mmseg_ext.engine.hooks'


def test_what_exports_nothing_is_named(tmp_path, monkeypatch):
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'empty/__init__.py').write_text('"""Nothing."""\n')
    monkeypatch.setattr(site, 'ROOT', tmp_path)
    with pytest.raises(ValueError, match='empty/__init__.py exports nothing'):
        site.exports('empty')


def test_all_rooms_have_a_page_and_nothing_is_described_twice():
    pages = site.reference_pages()
    assert len([page for page in pages if page.startswith('reference/apis/')]) >= 14
    described = re.findall(r'^::: (.+)$', '\n'.join(pages.values()), re.MULTILINE)
    assert len(described) > 150
    assert len(set(described)) == len(described)


def test_marks_of_sphinx_go():
    html = '<p>See :func:<code>~..run.load.load_model</code>, :mod:<code>.x</code>::</p>'
    assert site.on_page_content(html) == '<p>See <code>load_model</code>, <code>x</code>:</p>'


class _Loads(HTMLParser):
    """What a page has a browser fetch."""

    def __init__(self):
        super().__init__()
        self.found = []

    def handle_starttag(self, tag, attrs):
        names = {'link': 'href', 'script': 'src', 'img': 'src', 'iframe': 'src'}
        self.found += [value for name, value in attrs if name == names.get(tag)]


@pytest.mark.slow
def test_the_site_builds_and_needs_no_network(tmp_path):
    """Links, anchors and parameters are checked by mkdocs, which stops at the first doubt."""
    done = subprocess.run(
        [str(python_of('docs').with_name('mkdocs')), 'build', '--strict', '-d', str(tmp_path)],
        cwd=ROOT, capture_output=True, text=True, env=dict(PATH='/usr/bin:/bin'),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    pages = sorted(tmp_path.rglob('*.html'))
    assert len(pages) > 40
    for page in pages:
        loads = _Loads()
        loads.feed(page.read_text())
        assert loads.found
        assert [url for url in loads.found if '//' in url] == [], page
    text = (tmp_path / 'reference/losses.html').read_text()
    assert 'Parameters:' in text and 'Raises:' in text and 'SoftDiceLoss' in text
