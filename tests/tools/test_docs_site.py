"""The site of ``make docs``: its pages, its links, its reference; and a whole build."""

import re
import subprocess
import sys
from html.parser import HTMLParser
from types import SimpleNamespace

import pytest
import yaml
from support.label_tools import python_of
from support.paths import ROOT

sys.path.insert(0, str(ROOT / 'tools/dev'))

import docs_refs
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


def _turned(html, page):
    return site.on_page_content(html, page=SimpleNamespace(file=SimpleNamespace(url=page)))


def test_marks_of_sphinx_become_links():
    """To what is described on this page, on another, or nowhere."""
    loss, other = 'mmseg_ext.models.losses.soft_dice', 'mmseg_ext.apis.run.load.load_model'
    html = (
        f'<h2 id="mmseg_extmodelslosses"></h2><h3 id="{loss}.SoftDiceLoss"></h3>'
        '<p>See :func:<code>soft_dice_loss</code>, '
        ':func:<code>~mmseg_ext.apis.run.load.load_model</code>, :meth:<code>forward</code>, '
        ':class:<code>torch.nn.Conv2d</code>::</p>'
    )
    assert _turned(html, 'reference/losses.html') == (
        f'<h2 id="mmseg_extmodelslosses"></h2><h3 id="{loss}.SoftDiceLoss"></h3><p>See '
        f'<a href="losses.html#{loss}.soft_dice_loss"><code>soft_dice_loss</code></a>, '
        f'<a href="python.html#{other}"><code>load_model</code></a>, <code>forward</code>, '
        '<code>Conv2d</code>:</p>'
    )


def test_what_docstrings_point_at_is_found_as_their_module_names_it():
    resolve, use = docs_refs.resolve, 'mmseg_ext.apis.use.predictor'
    assert resolve('~..predict.predictor.Prediction', use) == (
        'mmseg_ext.apis.predict.predictor.Prediction'
    )
    assert resolve('find_model', use) == 'mmseg_ext.apis.use.given.find_model'
    assert resolve('Predictor', use) == f'{use}.Predictor'
    assert resolve('class_weights', 'mmseg_ext.models.losses.balanced_ce') == (
        'mmseg_ext.models.losses.class_weights.class_weights'  # of a module beside it
    )
    for nothing in ('_hidden', 'torch.nn.Conv2d', 'no_such', '~..predict.predictor.no_such'):
        assert resolve(nothing, use) is None
    assert docs_refs.module_of(f'{use}.Predictor.to_folder') == use
    assert docs_refs.module_of('mmseg_ext.no_such') == 'mmseg_ext'
    assert docs_refs.module_of('elsewhere') == ''
    assert docs_refs.pointed_at('mmseg_ext.models.losses.soft_dice.SoftDiceLoss') == [
        'mmseg_ext.models.losses.soft_dice.soft_dice_loss'
    ]


def test_what_docstrings_point_at_is_described():
    """A shape that stands in another docstring is a shape that the reader finds."""
    losses = site.reference_pages()['reference/losses.md']
    assert losses.index('::: mmseg_ext.models.losses.soft_dice.soft_dice_loss') > losses.index(
        '## What these refer to'
    )
    described = re.findall(r'^::: (.+)$', '\n'.join(site.reference_pages().values()), re.MULTILINE)
    pointed = {other for name in described for other in docs_refs.pointed_at(name)}
    assert len(pointed) > 40 and sorted(pointed - {*described}) == []


def test_a_text_of_returns_does_not_begin_as_a_named_value():
    """``A :class:`X```: mkdocstrings would take the word before the colon for a name."""
    files = sorted((ROOT / 'mmseg_ext').rglob('*.py'))
    begun = re.compile(r'^ *(?:Returns|Yields):\n +\w+ :\w+:`', re.MULTILINE)
    assert begun.search('    Returns:\n        A :class:`X`.') and len(files) > 250
    assert [str(file) for file in files if begun.search(file.read_text())] == []


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
