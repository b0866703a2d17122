"""The facts of a run: its commit, as git in the folder of the tests tells it."""

import subprocess

import pytest
import torch
from mmengine.config import Config
from support.paths import ROOT

from mmseg_ext.apis.run.outcome.facts import run_facts


@pytest.mark.skipif(not (ROOT / '.git').exists(), reason='needs a checkout')
def test_a_run_in_a_checkout_records_its_commit(tmp_path):
    torch.save(dict(meta=dict(seed=3, iter=7), state_dict={}), tmp_path / 'iter_7.pth')
    found = run_facts(Config(dict(model=dict())), tmp_path / 'iter_7.pth')
    head = subprocess.run(['git', '-C', str(ROOT), 'rev-parse', 'HEAD'], capture_output=True,
                          text=True, check=True).stdout.strip()  # fmt: skip
    assert len(head) == 40 and found['commit'] == head
    assert found['dirty'] in (True, False)
    assert (found['seed'], found['iterations'], found['init']) == (3, 7, 'random')
