"""The documents: what they link to exists, and the first page stays one page."""

import re

import pytest
from support.paths import ROOT

PAGES = [ROOT / 'README.md', ROOT / 'CONTRIBUTING.md', *sorted((ROOT / 'docs').glob('*.md')),
         *sorted((ROOT / 'configs').glob('*/README.md'))]  # fmt: skip


def _anchors(text):
    heads = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {re.sub(r'[^\w -]', '', head.lower()).replace(' ', '-') for head in heads}


@pytest.mark.parametrize('page', PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page):
    text = page.read_text()
    links = re.findall(r'\]\(((?!https?:)[^)\s]+)\)', text)
    broken = []
    for link in links:
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in _anchors(target.read_text())):
            broken.append(link)
    assert broken == []


def test_all_documents_are_looked_at():
    assert len(PAGES) >= 16
    linked = ''.join(page.read_text() for page in PAGES)
    assert [p.name for p in PAGES if p.parent.name == 'docs' and f'{p.name})' not in linked] == []


def test_the_first_page_is_one_page():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 110
