"""Shared by all tests: a tiny data set, a tiny config, one thread, no network."""

import atexit
import gc
import io
import json
import os
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import warnings
from pathlib import Path

import numpy as np
import pytest
from support.paths import ROOT

import mmseg_ext  # noqa: F401  before any test imports mmseg.models, which mmcv-lite alone breaks

# The tests share two cores with each other; one thread each is faster than two fighting.
os.environ.setdefault('OMP_NUM_THREADS', '1')
os.environ.setdefault('MMSEG_EXT_PROGRESS', '0')

TINY = """
_base_ = [{runtime!r}, {schedule!r}]
crop_size = (32, 32)
norm_cfg = dict(type='BN', requires_grad=True)
data_preprocessor = dict(
    type='SegDataPreProcessor', mean=[127.5] * 3, std=[127.5] * 3, bgr_to_rgb=True, pad_val=0,
    seg_pad_val=255, size=crop_size)
model = dict(
    type='EncoderDecoder', data_preprocessor=data_preprocessor,
    backbone=dict(type='ResNetV1c', depth=18, base_channels=4, stem_channels=4, num_stages=4,
                  strides=(1, 2, 2, 1), dilations=(1, 1, 1, 2), norm_cfg=norm_cfg),
    decode_head=dict(
        type='FCNHead', in_channels=32, in_index=3, channels=8, num_convs=1, concat_input=False,
        dropout_ratio=0.1, num_classes=3, norm_cfg=norm_cfg,
        loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True)),
    train_cfg=dict(), test_cfg=dict(mode='whole'))
metainfo = dict(classes=('sky', 'tree', 'road'), palette=[[0, 0, 255], [0, 255, 0], [99, 99, 99]])
train_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'),
    dict(type='RandomCrop', crop_size=crop_size), dict(type='RandomFlip', prob=0.5),
    dict(type='PackSegInputs')]
test_pipeline = [
    dict(type='LoadImageFromFile'), dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
dataset = dict(
    type='BaseSegDataset', data_root={data!r}, metainfo=metainfo, img_suffix='.png',
    data_prefix=dict(img_path='img', seg_map_path='mask'))
train_dataloader = dict(
    batch_size=2, num_workers=0, sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(pipeline=train_pipeline, **dataset))
val_dataloader = dict(
    batch_size=1, num_workers=0, sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(pipeline=test_pipeline, **dataset))
test_dataloader = val_dataloader
val_evaluator = dict(type={metric!r})
test_evaluator = val_evaluator
tta_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='TestTimeAug', transforms=[
        [dict(type='RandomFlip', prob=0.), dict(type='RandomFlip', prob=1.)],
        [dict(type='LoadAnnotations')], [dict(type='PackSegInputs')]])]
randomness = dict(seed=1)
# the schedule of the base, shortened
train_cfg = dict(max_iters=6, val_interval=3)
param_scheduler = [
    dict(type='PolyLR', eta_min=1e-4, power=0.9, begin=0, end=6, by_epoch=False)]
default_hooks = dict(logger=dict(interval=1), checkpoint=dict(interval=3, max_keep_ckpts=-1))
"""


def write_tiny_data(folder: Path, *, count: int = 6, size: int = 40) -> Path:
    """Images whose brightness gives the class away, with masks; deterministic."""
    import cv2

    random = np.random.default_rng(0)
    (folder / 'img').mkdir(parents=True)
    (folder / 'mask').mkdir()
    for index in range(count):
        mask = np.repeat(np.repeat(random.integers(0, 3, (5, 5)), size // 5, 0), size // 5, 1)
        image = mask[..., None] * 90 + random.integers(0, 40, (size, size, 3))
        mask = mask.copy()
        mask[0] = 255
        cv2.imwrite(str(folder / 'img' / f'{index}.png'), image.astype(np.uint8))
        cv2.imwrite(str(folder / 'mask' / f'{index}.png'), mask.astype(np.uint8))
    return folder


def write_tiny_config(
    path: Path, data: Path, *, metric: str = 'SegMetric', extra: str = ''
) -> Path:
    """A config file that trains 6 iterations in two seconds on :func:`write_tiny_data`."""
    bases = ROOT / 'configs' / '_base_'
    path.write_text(
        TINY.format(
            runtime=str(bases / 'default_runtime.py'),
            schedule=str(bases / 'schedules/sgd_poly.py'),
            data=str(data),
            metric=metric,
        )
        + extra
    )
    return path


class _WarmPython:
    """Runs tools in forks of a process that has imported the package, started at first use."""

    def __init__(self) -> None:
        self.server: subprocess.Popen | None = None

    def _start(self) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, ROOT / 'tests/support/warm_python.py'],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, arguments: list, *, timeout: float, **request: object):
        """What ``subprocess.run`` returns, with text captured."""
        if self.server is None:
            self.server = self._start()
        with tempfile.TemporaryDirectory() as folder:
            files = {name: str(Path(folder, name)) for name in ('out', 'err')}
            request = dict(request, arguments=arguments, **files)
            print(json.dumps(request), file=self.server.stdin, flush=True)
            if not select.select([self.server.stdout], [], [], timeout)[0]:
                self.stop()
                raise subprocess.TimeoutExpired(arguments, timeout)
            status = int(self.server.stdout.readline())
            texts = [Path(file).read_text() for file in files.values()]
        return subprocess.CompletedProcess(arguments, status, *texts)

    def stop(self) -> None:
        if self.server is not None:
            os.killpg(self.server.pid, signal.SIGKILL)
            self.server.wait()
        self.server = None


_WARM = _WarmPython()
atexit.register(_WARM.stop)


def run_python(
    *arguments: object,
    check: bool = True,
    env: dict | None = None,
    cwd: Path = ROOT,
    timeout: float = 900,
) -> subprocess.CompletedProcess:
    """Run this interpreter as a user would, one thread, output captured.

    A script runs in a fork whose imports are done, unless ``env`` could change what they do.
    """
    texts = list(map(str, arguments))
    place = dict(cwd=str(cwd), env={**os.environ, 'OMP_NUM_THREADS': '1', **(env or {})})
    if texts[0].endswith('.py') and not env:
        done = _WARM.run(texts, timeout=timeout, **place)
    else:
        done = subprocess.run(
            [sys.executable, *texts], capture_output=True, text=True, timeout=timeout, **place
        )
    if check and done.returncode != 0:
        raise AssertionError(
            f'{arguments} exited with {done.returncode}\n{done.stdout[-3000:]}'
            f'\n{done.stderr[-3000:]}'
        )
    return done


def pytest_collection_modifyitems(items: list) -> None:
    """Skip slow tests and those for a GPU where they cannot run."""
    import torch

    slow = pytest.mark.skip(reason='slow: run by make test-full')
    gpu = pytest.mark.skip(reason='needs a CUDA device')
    for item in items:
        if 'slow' in item.keywords and os.environ.get('MMSEG_EXT_SLOW') != '1':
            item.add_marker(slow)
        if 'gpu' in item.keywords and not torch.cuda.is_available():
            item.add_marker(gpu)


class _Outcomes:
    """Writes each test's outcome to a file for the driver of make test-full."""

    def __init__(self, path: str) -> None:
        self.path = Path(path)
        self.found: dict = {}

    def _note(self, report) -> None:
        before = self.found.get(report.nodeid, {}).get('outcome')
        if report.failed or before is None or (before == 'passed' and report.skipped):
            reason = str(report.longrepr[-1]) if isinstance(report.longrepr, tuple) else ''
            self.found[report.nodeid] = dict(outcome=report.outcome, reason=reason)

    def pytest_runtest_logreport(self, report) -> None:
        self._note(report)

    def pytest_collectreport(self, report) -> None:
        if not report.passed:  # a module that skips itself, or cannot be imported
            self._note(report)

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.found))


def pytest_collection_finish() -> None:
    gc.freeze()  # what is imported is no garbage: data sets collect when built, 0.3 s each time


def pytest_configure(config: pytest.Config) -> None:
    path = os.environ.get('MMSEG_EXT_OUTCOMES')
    if path and not hasattr(config, 'workerinput'):
        config.pluginmanager.register(_Outcomes(path))


@pytest.fixture(scope='session')
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_data(tmp_path_factory.mktemp('tiny') / 'data')


@pytest.fixture(scope='session')
def tiny_config(tmp_path_factory: pytest.TempPathFactory, tiny_data: Path) -> Path:
    return write_tiny_config(tmp_path_factory.mktemp('config') / 'tiny.py', tiny_data)


def write_whole_checkpoint(path: Path, *, iteration: int | None = None, **content) -> Path:
    """A checkpoint as a run leaves it, with one weight; ``iteration`` comes from the name."""
    import torch

    number = int(re.search(r'\d+', path.stem)[0]) if iteration is None else iteration
    hub = dict(log_scalars={}, runtime_info={}, resumed_keys={})
    whole = dict(
        state_dict=dict(weight=torch.arange(4.0)),
        optimizer=dict(state={}, param_groups=[]),
        message_hub=hub,
        meta=dict(iter=number, epoch=0, seed=0),
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(dict(whole, **content), path)
    return path


@pytest.fixture(scope='session')
def whole_checkpoint():
    """The function that writes a small checkpoint that a run could go on from."""
    return write_whole_checkpoint


def write_random_weights(config: Path, path: Path, **content) -> Path:
    """Random weights of a variant of the tiny model, with a head that favours no class."""
    import torch
    from mmengine.config import Config
    from mmengine.registry import init_default_scope
    from mmseg.registry import MODELS

    torch.manual_seed(0)
    cfg = Config.fromfile(config)
    init_default_scope('mmseg')
    model = MODELS.build(cfg.model)
    channels = cfg.model.backbone.get('in_channels', 3)
    torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=1.0)
    with torch.no_grad():
        for _ in range(30):  # statistics for BN, or the signal dies on its way to the head
            coarse = torch.rand(4, channels, 5, 5) * 2 - 1
            model.decode_head(model.backbone(torch.nn.functional.interpolate(coarse, (40, 40))))
        features = model.decode_head.convs(model.backbone(coarse.repeat(1, 1, 8, 8))[3])
        centre = model.decode_head.conv_seg.weight[:, :, 0, 0] @ features.mean((0, 2, 3))
        model.decode_head.conv_seg.bias.copy_(-centre)
    torch.save(dict(state_dict=model.state_dict(), **content), path)
    return path


@pytest.fixture(scope='session')
def random_weights():
    """The function that writes weights of a variant of the tiny model."""
    return write_random_weights


@pytest.fixture(scope='session')
def python_tool():
    """The function that runs a tool in a process of its own."""
    return run_python


_FRAME = """<html><body>
<iframe id="f" src="page.html" style="width:{width}px;height:900px;border:0"></iframe>
<p id="out"></p><script>
window.onload = () => {{
  const page = document.getElementById('f').contentDocument;
  const images = [...page.images];
  document.getElementById('out').textContent = JSON.stringify({{
    width: page.documentElement.scrollWidth,
    broken: images.filter(image => image.naturalWidth === 0).length, images: images.length}});
}};
</script></body></html>"""


_RANKS = """
import os
import sys
from datetime import timedelta
from os import environ

from torch import distributed


def work(rank):
{code}


def run(rank):
    sys.stdout = open(f'{folder}/rank{{rank}}.txt', 'w')
    environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='{count}')
    distributed.init_process_group(
        'gloo', init_method='tcp://127.0.0.1:{port}', rank=rank, world_size={count},
        timeout=timedelta(seconds={limit}))
    work(rank)
    distributed.destroy_process_group()
    sys.stdout.close()


children = []
for rank in range(1, {count}):
    child = os.fork()
    if child == 0:
        run(rank)
        os._exit(0)
    children.append(child)
run(0)
sys.exit(any(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.fixture
def free_port() -> int:
    """A port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


@pytest.fixture
def two_ranks(tmp_path: Path, free_port: int):
    """Runs code in the processes of one group, two by default, each with its ``rank``."""

    def run(code: str, count: int = 2, limit: int = 600) -> list:
        code = textwrap.indent(textwrap.dedent(code), '    ')
        script = tmp_path / 'ranks.py'
        place = dict(folder=tmp_path, port=free_port)
        script.write_text(_RANKS.format(code=code, count=count, limit=limit, **place))
        run_python(script, timeout=600)  # seconds on a quiet machine, minutes on a crowded one
        return [(tmp_path / f'rank{rank}.txt').read_text() for rank in range(count)]

    return run


@pytest.fixture
def browser_view(tmp_path: Path):
    """The function that opens a page in a real browser of some width; skips without Chromium."""
    chromium = shutil.which('chromium') or shutil.which('chromium-browser')
    if chromium is None:
        pytest.skip('no chromium on PATH: apt-get install chromium')
    flags = ['--headless', '--no-sandbox', '--disable-gpu', '--disable-background-networking']
    flags += ['--disable-component-update', '--disable-sync', f'--user-data-dir={tmp_path}/user']
    flags += ['--enable-logging=stderr', '--allow-file-access-from-files', '--dump-dom']

    def view(html: Path, width: int) -> dict:
        """Return the width that the page takes, its images, the broken ones, console errors."""
        shutil.copy(html, tmp_path / 'page.html')
        frame = tmp_path / 'frame.html'  # a window itself cannot be as narrow as a telephone
        frame.write_text(_FRAME.format(width=width))
        done = subprocess.run(
            [chromium, *flags, frame.as_uri()], capture_output=True, text=True, timeout=120
        )
        found = re.search(r'<p id="out">(.+?)</p>', done.stdout)
        assert found, done.stderr[-2000:]
        errors = [line for line in done.stderr.splitlines() if 'CONSOLE' in line]
        return dict(json.loads(found.group(1)), errors=errors)

    return view


@pytest.fixture
def onnx_export():
    """The function that exports a module and compares the file with it; skips without ONNX."""
    try:
        import onnx
        import onnxruntime
        import onnxscript  # noqa: F401
    except ImportError as error:
        pytest.skip(f'needs the extra "export": {error}')
    import torch

    def export(module, x, *, dynamo: bool = True) -> set:
        """Return the names of the operators in the file."""
        file = io.BytesIO()
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter('ignore')
            expected = module(x)
            if dynamo:
                options = dict(dynamo=True, opset_version=20, verbose=False)
                torch.onnx.export(module, (x,), **options).save(file)
            else:
                torch.onnx.export(module, (x,), file, dynamo=False, opset_version=16)
        session = onnxruntime.InferenceSession(file.getvalue())
        (out,) = session.run(None, {session.get_inputs()[0].name: x.numpy()})
        torch.testing.assert_close(torch.from_numpy(out), expected, rtol=1e-4, atol=1e-5)
        return {node.op_type for node in onnx.load_from_string(file.getvalue()).graph.node}

    return export


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    import torch

    torch.set_num_threads(1)
