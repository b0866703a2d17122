"""LICENSE is Apache-2.0 to the letter; CITATION.cff cites this version."""

import hashlib
import re
from datetime import date

import yaml
from support.paths import ROOT

import mmseg_ext

# of https://www.apache.org/licenses/LICENSE-2.0.txt
APACHE = 'cfc7749b96f63bd31c3c42b5c471bf756814053e847c10f3eb003417bc523d30'


def test_the_licence_is_apaches_but_for_whose_it_is():
    text = (ROOT / 'LICENSE').read_text('utf-8')
    owner = re.compile(r'^   Copyright 20\d\d The mmseg_ext authors$', re.MULTILINE)
    plain, count = owner.subn('   Copyright [yyyy] [name of copyright owner]', text)
    assert count == 1
    assert hashlib.sha256(plain.encode()).hexdigest() == APACHE


def test_the_citation_is_of_this_version():
    cited = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))
    assert cited['cff-version'] == '1.2.0' and cited['type'] == 'software' and cited['message']
    assert cited['title'].startswith('mmseg_ext')
    assert cited['version'] == mmseg_ext.__version__
    assert cited['license'] == 'Apache-2.0'
    assert cited['authors'] == [{'name': 'The mmseg_ext authors'}]  # an entity, no person


def test_the_citation_names_every_paper_as_its_card_does():
    papers = yaml.safe_load((ROOT / 'CITATION.cff').read_text('utf-8'))['references']
    folders = {path.parent.name: path for path in ROOT.glob('configs/*/metafile.yml')}
    cards = {name: (path.parent / 'README.md').read_text('utf-8') for name, path in folders.items()}
    cards = {name: ' '.join(text.split()) for name, text in cards.items()}
    assert len(papers) == len(cards) == 5
    found = set()
    for paper in papers:
        (name,) = [name for name, card in cards.items() if paper['title'] in card]
        found.add(name)
        assert all(part in cards[name] for part in (paper.get('doi', ''), str(paper['year'])))
        assert paper['authors'][0]['family-names'] in cards[name]
        assert 2000 < paper['year'] <= date.today().year
    assert found == set(cards)
