"""The benchmark of starts: what a process costs, and what is made of it; no time is asserted."""

import json
import re

import pytest
from mmengine.config import Config
from support.tools import load_tool

from mmseg_ext.apis.bench import start
from mmseg_ext.apis.bench.start import Sample


def test_a_process_is_measured_with_what_it_imports(tmp_path):
    """Half a million squares, in a child of its own, and one module more."""
    (tmp_path / 'extra.py').write_text('')
    plain, more = tmp_path / 'plain.py', tmp_path / 'more.py'
    plain.write_text('import sys\nassert sys.argv[1:] == ["--help"]\nsys.exit(0)\n')
    child = '[n * n for n in range(500_000)]'
    more.write_text(
        f'import subprocess, sys, extra\nsubprocess.run([sys.executable, "-c", {child!r}])'
    )
    (first,), (second,) = start._by_turns([[str(plain), '--help'], [str(more)]], 1, tmp_path)
    assert 0 < first.seconds < second.seconds
    assert 30 < first.modules < second.modules


def test_a_process_that_fails_is_no_measurement(tmp_path):
    (tmp_path / 'bad.py').write_text('raise ValueError("no data")')
    with pytest.raises(RuntimeError, match=r'bad\.py failed: [^$]*ValueError: no data'):
        start._run([str(tmp_path / 'bad.py')], tmp_path)


def test_a_case_has_medians_the_spread_and_the_ratio_of_medians():
    ours, theirs = ([Sample(s, 7) for s in (3, 1, 2)], [Sample(s, 9) for s in (8, 4, 100)])
    assert start._case('a', ours, 'b', theirs) == dict(
        case='a', reference='b', cpu_s=2, cpu_s_lowest=1, cpu_s_highest=3, modules=7,
        reference_cpu_s=8, reference_cpu_s_lowest=4, reference_cpu_s_highest=100,
        reference_modules=9, ratio_cpu=4,
    )  # fmt: skip


def test_the_small_config_takes_one_step_of_the_images_beside_it(tmp_path):
    cfg = Config.fromfile(start._small_config(tmp_path))
    assert cfg.train_cfg.max_iters == 1 and cfg.custom_imports.imports == ['mmseg_ext']
    assert cfg.train_dataloader.dataset.data_root == str(tmp_path)
    assert len(list((tmp_path / 'images').glob('*.png'))) == 6
    assert len(list((tmp_path / 'masks').glob('*.png'))) == 6


def test_every_tool_is_compared_and_printed(monkeypatch, capsys, tmp_path):
    """The processes are stood in for; the step is that of both tools with the same words."""
    seen = []

    def run(words, home):
        seen.append(words)
        return Sample(2.0 if 'bare' in words[0] else 0.5, 100)

    monkeypatch.setattr(start, '_run', run)
    tool, out = load_tool('benchmark'), tmp_path / 'start.json'
    monkeypatch.setattr('sys.argv', ['benchmark.py', 'start', '--repeats', '1', '--out', str(out)])
    tool.main()
    told = capsys.readouterr().out
    assert 'tools/train.py --help  against  import torch' in told
    assert 'processor time 0.50 s (0.50..0.50), 100 modules against 2.00 s' in told
    against = r"small\.py  against  mmseg's tools/train\.py \((onedl-)?mmengine"
    assert re.search('a training of one step, ' + against, told)
    cases = json.loads(out.read_text())['cases']
    assert len(cases) > 25 and {case['ratio_cpu'] for case in cases} == {4.0, 1.0}
    ours, theirs = seen[-2:]
    assert ours[1:] == theirs[1:] and 'mmseg/.mim/tools/train.py' in theirs[0]
