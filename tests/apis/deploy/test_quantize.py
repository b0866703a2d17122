"""8 bits: what is stored, what it costs, what is refused."""

import cv2
import numpy as np
import pytest

from mmseg_ext.apis.deploy.exported import load_exported
from mmseg_ext.apis.deploy.quantize import quantize_model
from mmseg_ext.apis.predict.predictor import predict
from mmseg_ext.apis.run.load import load_model

onnx = pytest.importorskip('onnx', reason='needs the extra "export"')
pytest.importorskip('onnxruntime', reason='needs the extra "export"')
SOURCE = dict(config='tiny.py', checkpoint='tiny.pth')


@pytest.fixture(scope='module')
def model(tmp_path_factory, tiny_config, random_weights):
    path = random_weights(tiny_config, tmp_path_factory.mktemp('weights') / 'tiny.pth')
    return load_model(tiny_config, path, device='cpu')


@pytest.fixture(scope='module')
def images(tiny_data):
    return sorted((tiny_data / 'img').glob('*.png'))


def test_8_bits_with_a_scale_per_channel(model, images, tmp_path) -> None:
    done = quantize_model(model, tmp_path / 'net.onnx', images, source=SOURCE, limit=0.5)
    assert done.images == (3, 3, 6) and done.path.is_file()
    graph = onnx.load(str(done.path)).graph
    weights = [t for t in graph.initializer if t.data_type == onnx.TensorProto.INT8]
    kernels = [onnx.numpy_helper.to_array(t) for t in weights if len(t.dims) == 4]
    assert len(kernels) > 15
    assert max(np.abs(k.astype(int)).max() for k in kernels) <= 64  # 7 bits: reduce_range
    sizes = {len(k) for k in kernels}
    scales = {t.dims[0] for t in graph.initializer if 'scale' in t.name and len(t.dims) == 1}
    assert sizes <= scales | {1}
    small = load_exported(done.path)
    one, other = (list(predict(net, images[1::2], keep_prob=True)) for net in (model, small))
    same = np.mean([(a.label == b.label).mean() for a, b in zip(one, other)])
    assert same == pytest.approx(done.agreement) and same > 0.9
    assert max(np.abs(a.prob - b.prob).max() for a, b in zip(one, other)) > 1e-3
    assert done.scores == pytest.approx([_miou(net, images) for net in (model, small)], abs=1e-6)
    assert small.dataset_meta['classes'] == model.dataset_meta['classes']


def _miou(network, images) -> float:
    """By sets of pixels, class by class, over all images; row 0 of each mask is ignored."""
    found, true = [], []
    for path, result in zip(images, predict(network, images)):
        mask = cv2.imread(str(path.parents[1] / 'mask' / path.name), cv2.IMREAD_UNCHANGED)
        found.append(result.label[mask != 255])
        true.append(mask[mask != 255])
    found, true = np.concatenate(found), np.concatenate(true)
    pairs = [(found == c, true == c) for c in range(3)]
    return float(np.mean([(a & b).sum() / (a | b).sum() for a, b in pairs if (a | b).any()]))


def test_fewer_same_labels_than_asked_for_are_refused(model, images, tmp_path) -> None:
    with pytest.raises(ValueError, match=r'net.onnx is not written: with 8 bits .* must'):
        quantize_model(model, tmp_path / 'net.onnx', images[:2], source=SOURCE, limit=1.01)
    with pytest.raises(ValueError, match='two images or more'):
        quantize_model(model, tmp_path / 'net.onnx', images[:1], source=SOURCE)
    assert list(tmp_path.iterdir()) == []
