"""The documents: what they name exists, the first page stays one page, all cards have one form."""

import re

import pytest
from support.paths import ROOT

CARDS = sorted((ROOT / 'configs').glob('*/README.md'))
PAGES = [
    ROOT / 'README.md',
    ROOT / 'CONTRIBUTING.md',
    *sorted((ROOT / 'docs').rglob('*.md')),
    *CARDS,
]
CONFIGS = {path.stem for path in (ROOT / 'configs').glob('*/[!_]*.py')}
HEADINGS = [
    'What it claims',
    'Sources',
    'What we read differently',
    'How to run',
    'Results',
    'What is missing',
]


def _anchors(text):
    heads = re.findall(r'^#+ (.+)$', text, re.MULTILINE)
    return {re.sub(r'[^\w -]', '', head.lower()).replace(' ', '-') for head in heads}


def _by_hand(card):
    before, rest = card.read_text().split('<!-- results:start -->')
    return before + rest.split('<!-- results:end -->')[1]


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


def test_paths_of_ours_exist():
    """In commands and prose: ``tools/train.py``, ``configs/fmsi/fmsi_xception_voc.py``."""
    name = r'(?<![\w/.-])((?:tools|configs|docs|tests|mmseg_ext)/[\w/.-]+\.(?:py|sh|md|yml|json))\b'
    named = {path for page in PAGES for path in re.findall(name, page.read_text())}
    assert len(named) > 40
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


def test_configs_that_cards_name_exist():
    """A word in backticks that begins as a config's name does is one: ``hrnet_w18_bmseg``."""
    families = {name.split('_')[0] for name in CONFIGS}
    networks = (ROOT / 'docs/survey_networks.md').read_text()  # a part of that card
    for card in CARDS:
        text = _by_hand(card) + (networks if card.parent.name == 'survey' else '')
        words = re.findall(r'`(\w+_\w+)(?:\.py)?`', text)
        named = {word for word in words if word.split('_')[0] in families}
        assert len(named) >= 8, card
        assert sorted(named - CONFIGS) == [], card


def test_cards_have_one_form():
    assert len(CARDS) == 5
    for card in CARDS:
        text = re.sub(r'^```.*?^```', '', _by_hand(card), flags=re.MULTILINE | re.DOTALL)
        assert text.startswith('# ') and len(re.findall(r'^# ', text, re.MULTILINE)) == 1, card
        assert re.findall(r'^## (.*)', text, re.MULTILINE) == HEADINGS, card
        assert len(card.read_text().splitlines()) < 150, card


def test_all_documents_are_looked_at():
    docs = [page for page in PAGES if page.is_relative_to(ROOT / 'docs')]
    assert len(docs) >= 11
    linked = ''.join(page.read_text() for page in PAGES)
    assert [page.name for page in docs if f'{page.name})' not in linked] == []


def test_the_first_page_is_one_page():
    assert len((ROOT / 'README.md').read_text().splitlines()) <= 110
