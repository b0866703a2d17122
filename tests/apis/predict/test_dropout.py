"""Passes with dropout: their mean, entropy and BALD, by hand; who has no dropout."""

import numpy as np
import pytest
import torch

from mmseg_ext.apis.predict.augmented import Augmented
from mmseg_ext.apis.predict.dropout import DropoutPasses
from mmseg_ext.apis.predict.predictor import predict
from mmseg_ext.apis.run.load import load_model

RGB = np.random.default_rng(2).integers(0, 256, (24, 32, 3)).astype(np.uint8)


@pytest.fixture(scope='module')
def weights(tiny_config, random_weights, tmp_path_factory):
    return random_weights(tiny_config, tmp_path_factory.mktemp('dropout') / 'w.pth')


@pytest.fixture(scope='module')
def model(tiny_config, weights):
    options = {'model.decode_head.dropout_ratio': 0.5}
    return load_model(tiny_config, weights, device='cpu', cfg_options=options)


def _passes(model, count):
    """The layers, called by hand with the same random numbers."""
    x = (torch.from_numpy(RGB.transpose(2, 0, 1).copy())[None].float() - 127.5) / 127.5
    model.decode_head.dropout.train()
    with torch.no_grad():
        torch.manual_seed(0)
        logits = [model.decode_head(model.backbone(x)) for _ in range(count)]
    model.decode_head.dropout.eval()
    large = [torch.nn.functional.interpolate(one, (24, 32), mode='bilinear') for one in logits]
    return torch.cat(large).softmax(1).double().numpy()


def test_maps_are_those_of_the_passes(model):
    torch.manual_seed(5)
    before = torch.random.get_rng_state()
    (result,) = predict(DropoutPasses(model, 4), [RGB], keep_prob=True)
    assert torch.equal(torch.random.get_rng_state(), before)  # a run's numbers stay as they were
    assert not model.decode_head.dropout.training
    every = _passes(model, 4)
    mean = every.mean(0)
    np.testing.assert_allclose(result.prob, mean, atol=1e-3)  # float16
    np.testing.assert_array_equal(result.label, mean.argmax(0))
    total = -(mean * np.log(mean)).sum(0)
    np.testing.assert_allclose(result.maps['entropy'], total, atol=1e-5)
    own = -(every * np.log(every)).sum(1).mean(0)
    np.testing.assert_allclose(result.maps['bald'], total - own, atol=1e-5)
    assert result.maps['bald'].max() > 1e-4 and sorted(result.maps) == ['bald', 'entropy']


def test_maps_do_not_depend_on_the_other_images(model):
    unsure = DropoutPasses(model, 2)
    (alone,) = predict(unsure, [RGB])
    _, second, third = predict(unsure, [RGB[::-1], RGB, RGB], batch=3)
    for other in (second, third):
        np.testing.assert_array_equal(other.maps['bald'], alone.maps['bald'])
    (both,) = predict(DropoutPasses(Augmented(model), 2), [RGB])
    assert (both.maps['bald'] != alone.maps['bald']).any()


def test_what_has_no_dropout_is_refused(tiny_config, weights, model):
    options = {'model.decode_head.dropout_ratio': 0}
    sure = load_model(tiny_config, weights, device='cpu', cfg_options=options)
    with pytest.raises(ValueError, match='this model has none: .*dropout_ratio above 0'):
        DropoutPasses(sure)
    with pytest.raises(ValueError, match='at least 2, got 1'):
        DropoutPasses(model, 1)
    options = {'model.type': 'MonteCarloEncoderDecoder'}
    own = load_model(tiny_config, weights, device='cpu', cfg_options=options)
    with pytest.raises(ValueError, match='writes its uncertainty by itself'):
        DropoutPasses(own)
