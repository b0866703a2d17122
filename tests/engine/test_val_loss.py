"""The validation loss against hand computations on a made-up model."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from mmengine.config import Config
from mmengine.runner import Runner
from mmseg.registry import MODELS

import mmseg_ext  # noqa: F401
from mmseg_ext.engine.val_loss import ValLossLoop, image_losses, mean_losses


def head_with(*terms, ignore_index=255):
    losses = torch.nn.ModuleList(MODELS.build(term) for term in terms)
    return SimpleNamespace(
        loss_decode=losses if len(terms) > 1 else losses[0], ignore_index=ignore_index
    )


CE = dict(type='CrossEntropyLoss', avg_non_ignore=True)


def draw(height, width, *, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(3, height, width, generator=generator)
    label = torch.randint(0, 3, (height, width), generator=generator)
    label[:seed] = 255
    return logits, label


def test_one_image_by_hand():
    logits, label = torch.zeros(2, 1, 3), torch.tensor([[0, 1, 255]])
    logits[0, 0, 0] = math.log(3)  # probability 3/4 for the right class; then 1/2; then ignored
    count, values = image_losses(head_with(CE), logits, label)
    assert count == 2
    assert values['loss_ce'] == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, rel=1e-6)


def test_images_of_other_sizes_give_the_mean_over_all_pixels():
    images = [draw(4, 5, seed=0), draw(7, 3, seed=2), draw(6, 6, seed=6)]  # the last has no label
    got = mean_losses([image_losses(head_with(CE), *image) for image in images])
    flat_logits = torch.cat([logits.flatten(1) for logits, _ in images], 1)
    flat_labels = torch.cat([label.flatten() for _, label in images])
    expected = F.cross_entropy(flat_logits.t(), flat_labels, ignore_index=255)
    assert got == dict(val_loss=pytest.approx(float(expected), rel=1e-6))


def test_terms_are_reported_when_there_are_several():
    images = [draw(4, 5), draw(5, 4, seed=1)]
    dice = dict(type='SoftDiceLoss', loss_weight=0.5)
    both = mean_losses([image_losses(head_with(CE, dice), *image) for image in images])
    ce = mean_losses([image_losses(head_with(CE), *image) for image in images])['val_loss']
    half = mean_losses([image_losses(head_with(dice), *image) for image in images])['val_loss']
    assert both['val_loss_ce'] == pytest.approx(ce)
    assert both['val_loss_dice'] == pytest.approx(half)
    assert both['val_loss'] == pytest.approx(ce + half)
    twice = mean_losses([image_losses(head_with(CE, CE), *image) for image in images])
    assert twice['val_loss'] == pytest.approx(2 * ce)


def test_nothing_labelled_is_undefined():
    assert math.isnan(mean_losses([])['val_loss'])
    assert math.isnan(mean_losses([(0, dict(loss_ce=float('nan')))])['val_loss'])


def test_probabilities_are_turned_back():
    logits, label = draw(6, 7)
    direct = image_losses(head_with(CE), logits, label)[1]
    again = image_losses(head_with(CE), logits.softmax(0), label)[1]
    assert again['loss_ce'] == pytest.approx(direct['loss_ce'], rel=1e-5)


def test_repeated_images_are_dropped(monkeypatch):
    # ranks 0, 1 and 2 hold the images 0 3, 1 4, 2 and a repetition of image 0
    ranks = [[(1, 'a'), (1, 'd')], [(1, 'b'), (1, 'e')], [(1, 'c'), (1, 'a')]]
    monkeypatch.setattr('mmseg_ext.engine.val_loss.all_gather_object', lambda mine: ranks)
    loop = ValLossLoop.__new__(ValLossLoop)
    loop._records = ranks[0]
    assert [name for _, name in loop._gather(5)] == ['a', 'b', 'c', 'd', 'e']


def build_runner(tiny_config, work_dir, **changes):
    config = Config.fromfile(tiny_config)
    config.work_dir = str(work_dir)
    config.val_cfg = dict(type='ValLossLoop')
    # A best checkpoint can only be kept while training: mmengine fails on it in a lone val().
    config.default_hooks.checkpoint.pop('save_best', None)
    config.merge_from_dict(changes)
    return Runner.from_cfg(config)


def test_the_loop_equals_a_loop_by_hand(tiny_config, tmp_path):
    runner = build_runner(tiny_config, tmp_path, **{'val_dataloader.batch_size': 2})
    metrics = runner.val()
    model = runner.model.eval()
    total, pixels = 0.0, 0
    for index in range(len(runner.val_dataloader.dataset)):
        item = runner.val_dataloader.dataset[index]
        batch = dict(inputs=[item['inputs']], data_samples=[item['data_samples']])
        with torch.no_grad():
            batch = model.data_preprocessor(batch, False)
            small = model.decode_head(model.backbone(batch['inputs']))
            label = item['data_samples'].gt_sem_seg.data
            logits = F.interpolate(small, tuple(label.shape[1:]), mode='bilinear')
        total += float(F.cross_entropy(logits, label, ignore_index=255, reduction='sum'))
        pixels += int((label != 255).sum())
    assert metrics['val_loss'] == pytest.approx(total / pixels, rel=1e-5)
    assert {'mIoU', 'mPA', 'aAcc'} < set(metrics)
    assert not any(module.training for module in model.modules())


def test_letterboxed_images_are_scored_without_their_bars(tiny_config, tmp_path):
    """Padding moves the logits under the bars; the loss sees the image at its own size only."""
    runner = build_runner(tiny_config, tmp_path)
    item = runner.val_dataloader.dataset[0]
    sample = item['data_samples']
    label = sample.gt_sem_seg.data
    logits = torch.randn(1, 3, 60, 50, generator=torch.Generator().manual_seed(0))
    sample.set_metainfo(dict(padding_size=[4, 6, 10, 10], ori_shape=(40, 40)))
    (output,) = runner.model.postprocess_result(logits, [sample])
    count, values = image_losses(runner.model.decode_head, output.seg_logits.data, label[0])
    assert count == int((label != 255).sum())
    expected = F.cross_entropy(logits[:, :, 10:50, 4:44], label, ignore_index=255)
    assert values['loss_ce'] == pytest.approx(float(expected), rel=1e-5)


def test_the_lowest_loss_is_kept(tiny_config, tmp_path):
    runner = build_runner(
        tiny_config,
        tmp_path,
        **{
            'default_hooks.checkpoint.save_best': 'val_loss',
            'default_hooks.checkpoint.rule': 'less',
        },
    )
    losses = {}
    kept = runner.call_hook

    def spy(name, **arguments):
        if name == 'after_val_epoch':
            losses[runner.iter] = arguments['metrics']['val_loss']
        kept(name, **arguments)

    runner.call_hook = spy
    runner.train()
    best = min(losses, key=losses.get)
    assert len(losses) == 2 and all(np.isfinite(list(losses.values())))
    assert [p.name for p in tmp_path.glob('best_*.pth')] == [f'best_val_loss_iter_{best}.pth']


def test_what_is_missing_is_named(tiny_config, tmp_path):
    loop = ValLossLoop.__new__(ValLossLoop)
    loop._runner = SimpleNamespace(model=torch.nn.Identity())
    with pytest.raises(ValueError, match='loss_decode, which Identity has not'):
        loop._head()
    pipeline = [dict(type='LoadImageFromFile'), dict(type='PackSegInputs')]
    runner = build_runner(tiny_config, tmp_path, **{'val_dataloader.dataset.pipeline': pipeline})
    with pytest.raises(ValueError, match=r'gt_sem_seg and seg_logits of .*0\.png'):
        runner.val()
