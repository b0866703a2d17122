"""The user's mistakes: one clear error that says what to do, and nothing left behind."""

import warnings

import pytest
import torch
from mmengine.config import Config
from mmseg.registry import MODELS
from support.paths import ROOT
from torch import nn

from mmseg_ext.apis import cli
from mmseg_ext.apis.config.check import UnknownKeyError, check_config, check_options
from mmseg_ext.apis.config.schedule import set_max_iters
from mmseg_ext.apis.config.signatures import arguments_of
from mmseg_ext.apis.run import config as module
from mmseg_ext.apis.run import training
from mmseg_ext.apis.run.checkpoints import check_weights, read_state_dict
from mmseg_ext.apis.run.config import load_config
from mmseg_ext.apis.run.folder import RunFolder
from mmseg_ext.apis.run.options import use_amp, use_seed
from mmseg_ext.core import words
from mmseg_ext.utils import register_all_modules


@pytest.fixture
def cfg(tiny_config) -> Config:
    register_all_modules()
    return Config.fromfile(tiny_config)


def test_a_correct_config_passes(cfg):
    check_config(cfg)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model.backbone.dept', 18, "ResNetV1c has no argument 'dept', did you mean depth"),
        ('model.decode_hed', {}, 'did you mean decode_head?'),
        ('model.decode_head.droput_ratio', 0, 'did you mean dropout_ratio?'),
        ('model.decode_head.loss_decode.loss_wight', 1, 'did you mean loss_weight'),
        ('model.backbone.type', 'ResNetV1cc', 'did you mean ResNetV1c'),
        ('train_dataloader.batchsize', 2, 'did you mean batch_size'),
        ('train_dataloader.dataset.pipeline.2.crop_sise', 2, 'did you mean crop_size?'),
        ('train_dataloader.dataset.pipeline.3.type', 'RandomFlop', 'did you mean RandomFlip'),
        ('test_evaluator.absnt', 'zero', 'did you mean absent?'),
        ('test_evaluator.num_resamples', 1, 'any more: intervals are computed without resamples'),
        ('optim_wrapper.optimizer.momentun', 1, 'did you mean momentum?'),
        ('optim_wrapper.clipgrad', 1, 'did you mean clip_grad?'),
        ('param_scheduler.0.powr', 1, 'did you mean power?'),
        ('default_hooks.checkpoint.intervall', 1, 'did you mean interval?'),
        ('train_cfg.max_iter', 1, 'did you mean max_iters'),
        ('train_dataloder', {}, 'did you mean train_dataloader?'),
        ('custom_hooks', ['EMAHook'], "custom_hooks must be a list of dicts, got 'EMAHook'"),
        ('custom_hooks', 5, 'custom_hooks must be a list of dicts, got 5'),
        ('param_scheduler', 'PolyLR', "param_scheduler must be a dict, got 'PolyLR'"),
    ],
)
def test_unknown_keys_and_types_are_named(cfg, key, value, message):
    cfg.merge_from_dict({key: value})
    with pytest.raises(UnknownKeyError) as error:
        check_config(cfg)
    assert message in str(error.value)
    assert key.rpartition('.')[2] in str(error.value)


def test_every_problem_is_listed_at_once(cfg):
    cfg.merge_from_dict({'model.backbone.dept': 18, 'train_cfg.max_iter': 1})
    with pytest.raises(UnknownKeyError, match='dept.*max_iter'):
        check_config(cfg)


def test_signatures_are_followed_only_while_kwargs_are_passed_on():
    class Base(nn.Module):
        def __init__(self, a, b=1):
            super().__init__()

    class Passes(Base):
        def __init__(self, c, **kwargs):
            super().__init__(**kwargs)

    class Uses(Base):
        def __init__(self, d, **kwargs):
            self.x = kwargs.pop('anything', None)
            super().__init__(**kwargs)

    class Keeps(Base):
        def __init__(self, e, **kwargs):
            super().__init__(1)
            self.kwargs = kwargs

    assert arguments_of(Passes) == ({'a', 'b', 'c'}, False)
    assert arguments_of(Uses) == ({'d'}, True)
    assert arguments_of(Keeps) == ({'e'}, True)


def test_a_segmentor_that_extends_another_takes_its_arguments(cfg):
    cfg.model.update(
        type='CRFEncoderDecoder',
        segmentor='MultiScaleEncoderDecoder',
        scales=(0.5, 1.0),
        crf=dict(type='DenseCRF'),
    )
    check_config(cfg)
    cfg.model.auxilary_head = None
    with pytest.raises(UnknownKeyError, match='auxilary_head.*did you mean auxiliary_head'):
        check_config(cfg)


@pytest.mark.parametrize(
    ('option', 'message'),
    [
        ('optim_wrapper.optimiser.lr', "no key 'optimiser', did you mean optimizer"),
        ('model.backbone.dept', 'did you mean depth'),
        ('param_scheduler.1.end', "no key '1'"),
        ('nothing.like.it', "the config has no key 'nothing'"),
        ('foo', "the config has no key 'foo'"),
        ('train_dataloder', 'did you mean train_dataloader'),
    ],
)
def test_options_that_lead_nowhere(cfg, option, message):
    with pytest.raises(UnknownKeyError, match=message):
        check_options(cfg, {option: 1})


def test_options_may_add_keys_to_dicts_and_runner_settings(cfg):
    given = ('model.backbone.with_cp', 'compile', 'max_iters', 'param_scheduler.0.end',
             'optim_wrapper.accumulative_counts')  # fmt: skip
    check_options(cfg, dict.fromkeys(given, 2))


def test_a_module_may_be_given_a_start_by_its_parts(cfg):
    cfg.model.backbone.pop('init_cfg', None)
    check_options(
        cfg, dict.fromkeys(('model.backbone.init_cfg.type', 'model.backbone.init_cfg.checkpoint'))
    )
    for not_a_module in ('model.test_cfg.init_cfg.type', 'init_cfg.type'):
        with pytest.raises(UnknownKeyError, match="no key 'init_cfg'"):
            check_options(cfg, {not_a_module: 'Pretrained'})


def test_max_iters_rescales_everything_written_from_it(cfg):
    set_max_iters(cfg, 12)
    assert (cfg.train_cfg.max_iters, cfg.train_cfg.val_interval) == (12, 6)
    assert cfg.param_scheduler[0].end == 12
    assert cfg.default_hooks.checkpoint.interval == 6
    with pytest.raises(ValueError, match='positive integer'):
        set_max_iters(cfg, 0)
    cfg.train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=3)
    cfg.custom_hooks = [dict(type='FlatCosineLrHook')]
    with pytest.raises(ValueError, match='train_cfg.max_epochs'):
        set_max_iters(cfg, 3)


def test_max_iters_turns_epochs_into_iterations():
    """100 epochs of the warm-up and cosine schedule in 400 iterations: four for each epoch."""
    path = ROOT / 'configs' / 'fmsi' / 'fmsi_xception_voc.py'
    cfg = load_config(path, options=dict(max_iters=400))
    loop = dict(type='IterBasedTrainLoop', max_iters=400, val_interval=40)
    assert cfg.train_cfg.to_dict() == loop
    phases = [(s.begin, s.end, s.by_epoch) for s in cfg.param_scheduler]
    assert phases == [(0, 8, False), (4, 12, False), (8, 16, False), (12, 344, False)]
    assert cfg.param_scheduler[-1].T_max == 4 * 82
    hooks = cfg.default_hooks
    assert (hooks.checkpoint.by_epoch, hooks.checkpoint.interval) == (False, 40)
    assert hooks.logger.log_metric_by_epoch is False
    short = load_config(path, options=dict(max_iters=2))
    assert all(s.begin < s.end for s in short.param_scheduler)
    assert short.train_cfg.val_interval == short.default_hooks.checkpoint.interval == 1


@pytest.mark.parametrize('options, said', [
    ({'train_cfg.max_iters': 9}, 'train_cfg.max_iters=9 lengthens the loop alone, param_scheduler '
                                 'ends at 6, and the rate stays what it is then: give max_iters=N'),
    ({'train_cfg.max_iters': 5}, None),  # shorter: the rate is that of the whole run
    ({'max_iters': 9}, None),
    ({'max_iters': 9, 'train_cfg.val_interval': 4}, None),
])  # fmt: skip
def test_a_loop_that_is_longer_than_its_schedule_is_said(tiny_config, monkeypatch, options, said):
    lines = []
    monkeypatch.setattr(module, 'print_log', lambda text, *_: lines.append(text))
    load_config(tiny_config, options=options)
    found = [text for text in lines if 'param_scheduler' in text]
    assert [text.startswith(said) for text in found] == ([True] if said else [])


def test_what_is_given_beside_max_iters_wins(tiny_config):
    """Whatever the order, for every key that is rescaled, and under the file's own variable."""
    given = {
        'train_cfg.val_interval': 60,
        'train_cfg.val_begin': 7,
        'default_hooks.checkpoint.interval': 45,
        'param_scheduler.0.end': 50,
        'param_scheduler.0.begin': 1,
        'default_hooks.logger.interval': 9,
    }
    for options in (dict(max_iters=60, **given), dict(given, max_iters=60)):
        cfg = load_config(tiny_config, options=options)
        assert cfg.train_cfg.max_iters == 60
        for key, value in given.items():
            place = cfg
            for part in key.split('.'):
                place = place[int(part)] if part.isdigit() else place[part]
            assert place == value, key
    cfg = load_config(tiny_config, options=dict(max_iters=60, val_interval=25))
    hook = cfg.default_hooks.checkpoint
    assert (cfg.train_cfg.val_interval, hook.interval, cfg.param_scheduler[0].end) == (25, 25, 60)
    options = {'val_interval': 25, 'default_hooks.checkpoint.interval': 5}
    cfg = load_config(tiny_config, options=options)
    assert (cfg.train_cfg.val_interval, cfg.default_hooks.checkpoint.interval) == (25, 5)


@pytest.mark.parametrize('length', [1, 7, 12, 100, 333])
@pytest.mark.parametrize(
    'row', ['survey/fcn32s_vgg16_voc12aug', 'fmsi/unet_vgg16_voc12aug', 'fmsi/fmsi_xception_voc']
)
def test_a_short_run_validates_at_most_ten_times(row, length):
    cfg = load_config(ROOT / f'configs/{row}.py', options=dict(max_iters=length))
    steps = {*range(cfg.train_cfg.val_interval, length + 1, cfg.train_cfg.val_interval), length}
    assert 1 <= len(steps) <= 11 and cfg.default_hooks.checkpoint.interval <= length
    assert length < 100 or len(steps) >= 9


def test_a_missing_config_is_looked_for_nearby(tiny_config):
    with pytest.raises(FileNotFoundError, match=r'did you mean .*tiny\.py'):
        load_config(tiny_config.with_name('tinny.py'))


def test_seed_zero_is_a_seed(cfg):
    use_seed(cfg, seed=0)
    assert cfg.randomness == dict(seed=0)


def test_amp_picks_what_the_machine_can(cfg):
    use_amp(cfg)
    expected = 'AmpOptimWrapper' if torch.cuda.is_available() else 'Bf16OptimWrapper'
    assert cfg.optim_wrapper.type == expected
    cfg.optim_wrapper.type = 'OtherWrapper'
    with pytest.raises(ValueError, match='got OtherWrapper'):
        use_amp(cfg)


# --- checkpoints


def save(path, model: nn.Module):
    torch.save(dict(state_dict=model.state_dict(), meta={}), path)
    return path


def test_a_checkpoint_of_another_model_is_refused_with_counts(cfg, tmp_path):
    other = save(tmp_path / 'other.pth', nn.Linear(3, 4))
    model = MODELS.build(cfg.model)
    total = len(model.state_dict())
    for complete in (True, False):
        with pytest.raises(ValueError) as error:
            check_weights(model, other, complete=complete)
        text = str(error.value)
        assert f'other.pth belongs to another model: 0 of {total} tensors match' in text
        assert '2 not in the model (such as weight)' in text and 'Use the config' in text


def test_testing_needs_every_weight_and_fine_tuning_most(cfg, tmp_path):
    model = MODELS.build(cfg.model)
    cfg.model.decode_head.num_classes = 5  # another head: two tensors differ in shape
    other = save(tmp_path / 'five.pth', MODELS.build(cfg.model))
    check_weights(model, other, complete=False)
    with pytest.raises(ValueError, match=r'2 of another shape \(such as decode_head.conv_seg'):
        check_weights(model, other, complete=True)


def test_additional_weights_and_a_ddp_prefix_are_fine(tmp_path):
    model = nn.Linear(3, 4)
    state = {f'module.{k}': v for k, v in model.state_dict().items()}
    torch.save({**state, 'module.auxiliary': torch.ones(1)}, tmp_path / 'ddp.pth')
    check_weights(model, tmp_path / 'ddp.pth', complete=True)


def test_files_that_are_no_checkpoints(tmp_path):
    (tmp_path / 'text.pth').write_text('hello')
    torch.save({'a': 1}, tmp_path / 'empty.pth')
    with pytest.raises(FileNotFoundError, match='absent.pth'):
        read_state_dict(tmp_path / 'absent.pth')
    with pytest.raises(ValueError, match='text.pth cannot be read'):
        read_state_dict(tmp_path / 'text.pth')
    with pytest.raises(ValueError, match='empty.pth holds no weights'):
        read_state_dict(tmp_path / 'empty.pth')
    with pytest.raises(FileNotFoundError, match='train first'):
        RunFolder(tmp_path / 'nowhere').best_or_last()


# --- runs that fail


def test_batch_one_on_a_one_by_one_map_names_the_setting(tiny_config, tmp_path):
    pool = dict(type='ASPPHead', in_channels=32, in_index=3, channels=8, num_classes=3,
                dilations=(1,), norm_cfg=dict(type='BN'), _delete_=True,
                loss_decode=dict(type='CrossEntropyLoss', avg_non_ignore=True))  # fmt: skip
    cfg = load_config(tiny_config, work_dir=tmp_path / 'run',
                               options={'train_dataloader.batch_size': 1})  # fmt: skip
    cfg.model.decode_head = {k: v for k, v in pool.items() if k != '_delete_'}
    with pytest.raises(ValueError) as error:
        training.train(cfg)
    text = str(error.value)
    assert 'train_dataloader.batch_size=1' in text and 'at least 2' in text and 'drop_last' in text
    assert not (tmp_path / 'run').exists()


def test_a_failed_run_leaves_older_files_alone(tiny_config, tmp_path):
    (tmp_path / 'keep.txt').write_text('mine')
    cfg = load_config(tiny_config, work_dir=tmp_path)
    cfg.load_from = str(save(tmp_path / 'other.pth', nn.Linear(1, 1)))
    with pytest.raises(ValueError, match='another model'):
        training.train(cfg)
    assert sorted(p.name for p in tmp_path.iterdir()) == ['keep.txt', 'other.pth']


def test_a_worker_s_error_becomes_one_line():
    text = (
        'Caught ValueError in DataLoader worker process 0.\nOriginal Traceback (most recent call '
        'last):\n  File "x.py", line 1, in f\n    g()\nValueError: a.png: broken\n'
    )
    assert words.message_of(ValueError(text)) == 'a.png: broken'
    assert words.message_of(KeyError('no such key')) == 'no such key'


def test_tools_end_with_one_line_and_status_one(capsys, monkeypatch):
    def main():
        raise FileNotFoundError('no folder x: make it')

    monkeypatch.delenv('MMSEG_EXT_DEBUG', raising=False)
    with pytest.raises(SystemExit) as end:
        cli.run_tool(main)
    assert end.value.code == 1
    assert capsys.readouterr().err.startswith('error: no folder x: make it')
    monkeypatch.setenv('MMSEG_EXT_DEBUG', '1')
    with pytest.raises(FileNotFoundError):
        cli.run_tool(main)


def test_tools_are_silent_about_what_upstream_says_of_its_own_calls():
    seen = 'mmseg/models/builder.py'

    def main():
        for text in ('``build_loss`` would be deprecated soon, please use', 'labels are absent'):
            warnings.warn_explicit(text, UserWarning, seen, 36)

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter('always')
        with pytest.raises(SystemExit) as end:
            cli.run_tool(main)
    assert end.value.code == 0
    assert [str(warning.message) for warning in caught] == ['labels are absent']


def test_a_word_without_end_is_shortened():
    text = words.message_of(ValueError(f'list.txt names {"x" * 5000!r}, which is not there'))
    assert text.startswith("list.txt names 'xxx") and text.endswith('which is not there')
    assert len(text) < 300
