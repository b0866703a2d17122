"""Averaged models: equal to the mean of the softmaxes, scored only on images that none has seen."""

import json

import cv2
import numpy as np
import pytest
import torch
from mmengine.config import Config
from mmengine.registry import init_default_scope
from mmengine.structures import PixelData
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample

from mmseg_ext.apis.predict.average import AveragedModel, load_average, run_average
from mmseg_ext.apis.predict.found import find_images
from mmseg_ext.apis.predict.predictor import predict
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.load import load_model


@pytest.fixture(scope='module')
def weights(tmp_path_factory, tiny_config):
    """Three models whose random heads disagree."""
    init_default_scope('mmseg')
    folder, paths = tmp_path_factory.mktemp('models'), []
    for seed in range(3):
        torch.manual_seed(seed)
        model = MODELS.build(Config.fromfile(tiny_config).model)
        torch.nn.init.normal_(model.decode_head.conv_seg.weight, std=20.0)
        torch.nn.init.normal_(model.decode_head.conv_seg.bias, std=1.0)
        paths.append(folder / f'{seed}.pth')
        torch.save(dict(state_dict=model.state_dict()), paths[-1])
    return paths


def softmax(logits):
    powers = np.exp(logits - logits.max(0))
    return powers / powers.sum(0)


def logits_of(model, images):
    """What one model computes, through mmseg's own inference and not ours."""
    from mmseg.apis import inference_model

    return [inference_model(model, str(path)).seg_logits.data.double().numpy() for path in images]


def test_the_mean_of_the_softmaxes(tiny_config, tiny_data, weights):
    images = find_images([tiny_data / 'img'])
    single = [logits_of(load_model(tiny_config, path, device='cpu'), images) for path in weights]
    average = load_average(tiny_config, weights, device='cpu')
    results = list(predict(average, images, keep_prob=True))
    assert len(results) == 6
    for index, found in enumerate(results):
        probs = [softmax(logits[index]) for logits in single]
        mean = (probs[0] + probs[1] + probs[2]) / 3
        np.testing.assert_allclose(found.prob, mean, atol=6e-4)  # kept in half precision
        np.testing.assert_array_equal(found.label, mean.argmax(0))
        of_logits = softmax(sum(logits[index] for logits in single) / 3)
        assert np.abs(of_logits - mean).max() > 0.01  # averaged logits would be something else


def test_one_model_averaged_is_itself(tiny_config, tiny_data, weights):
    images = find_images([tiny_data / 'img'])[:2]
    model = load_model(tiny_config, weights[0], device='cpu')
    alone = [prediction.label for prediction in predict(model, images)]
    average = AveragedModel([model])
    for expected, found in zip(alone, predict(average, images)):
        np.testing.assert_array_equal(found.label, expected)


class OneChannel(torch.nn.Module):
    """Stands for a segmentor with one output channel: hands out what mmseg calls logits."""

    def __init__(self, prob, threshold):
        super().__init__()
        self.prob, self.cfg = prob, None
        self.dataset_meta = dict(classes=('background', 'bone'))
        self.decode_head = torch.nn.Module()
        self.decode_head.threshold = threshold

    def test_step(self, data):
        sample = data['data_samples'][0]
        sample.set_data(dict(seg_logits=PixelData(data=self.prob)))
        return [sample]


def test_a_single_channel_keeps_its_threshold():
    probs = [torch.tensor([[[0.2, 0.4, 0.9]]]), torch.tensor([[[0.1, 0.5, 0.7]]])]
    average = AveragedModel([OneChannel(prob, 0.3) for prob in probs])
    given = dict(inputs=[None], data_samples=[SegDataSample()])
    sample = average.test_step(given)[0]
    torch.testing.assert_close(sample.seg_logits.data, torch.tensor([[[0.15, 0.45, 0.8]]]))
    assert sample.pred_sem_seg.data.tolist() == [[[0, 1, 1]]]
    assert 'seg_logits' not in given['data_samples'][0]  # the caller's sample is not written to


def test_other_classes_are_refused():
    one, two = OneChannel(torch.zeros(1, 1, 1), 0.3), OneChannel(torch.zeros(1, 1, 1), 0.3)
    two.dataset_meta = dict(classes=('background', 'lesion'))
    with pytest.raises(ValueError, match='same classes'):
        AveragedModel([one, two])
    with pytest.raises(ValueError, match='at least one model'):
        AveragedModel([])


def test_scored_on_new_images_only(tiny_config, tiny_data, weights, tmp_path, capsys):
    cfg = load_config(tiny_config)
    average = load_average(tiny_config, weights[:2], device='cpu')
    images = find_images([tiny_data / 'img'])
    assert run_average(average, cfg, tmp_path / 'new') == []
    results = json.loads((tmp_path / 'new/results.json').read_text())
    assert results['num_images'] == 6
    right = labelled = 0  # the share of right pixels, counted here
    for prediction in predict(average, images):
        truth = cv2.imread(str(tiny_data / 'mask' / prediction.path.name), cv2.IMREAD_UNCHANGED)
        right += int((prediction.label == truth).sum())
        labelled += int((truth != 255).sum())
    assert results['metrics']['aAcc']['value'] == pytest.approx(right / labelled, rel=1e-9)
    assert run_average(average, cfg, tmp_path / 'seen', seen=images[:1]) == []
    assert '1 of the 6 test images are in the folds' in capsys.readouterr().out
    assert not (tmp_path / 'seen/results.json').exists()
    assert len(list((tmp_path / 'seen/masks').glob('*.png'))) == 6
