"""Tests lie as the package does: each module has its test file, or a line here that names one."""

import ast

import pytest
from support import layout, selection
from support.paths import ROOT

# test file -> modules that it tests beside the one that it is called after
ELSEWHERE = {
    'apis/bench/test_growth.py': 'apis.bench.fit apis.bench.growth_data apis.bench.words',
    'apis/bench/test_operations.py': 'apis.bench.operations_losses',
    'apis/bench/test_peaks.py': 'apis.bench.peers',
    'apis/bench/test_throughput.py': 'apis.bench.programs',
    'apis/bench/test_timing.py': (
        'apis.bench.crf apis.bench.few_labels apis.bench.memory apis.bench.parts '
        'apis.run.network.live_bytes'
    ),
    'apis/cards/test_card.py': (
        'apis.cards.convergence apis.cards.fold_record apis.cards.record apis.cards.results_table '
        'apis.cards.runs_page apis.cards.speed apis.cards.speed_figure'
    ),
    'apis/config/test_check.py': (
        'apis.config.numbers apis.config.signatures apis.run.guard utils'
    ),
    'apis/convert/test_imagenet.py': 'apis.convert.conversion apis.convert.hrnet',
    'apis/convert/test_repositories.py': (
        'apis.convert.source apis.convert.sources apis.convert.swin '
        'apis.convert.dilateformer apis.convert.transdeeplab apis.convert.unet3plus'
    ),
    'apis/deploy/test_export.py': (
        'apis.deploy.choose apis.deploy.exported apis.deploy.facts apis.deploy.formats '
        'apis.deploy.graph apis.deploy.verify'
    ),
    'apis/draw/test_html.py': 'apis.draw.blocks',
    'apis/folds/test_fold.py': 'apis.folds.pool',
    'apis/folds/test_report.py': 'apis.folds.summary apis.folds.tested',
    'apis/folds/test_run.py': 'apis.run.launch',
    'apis/labels/test_merge.py': 'apis.labels.project',
    'apis/labels/test_pool.py': 'apis.labels.choice apis.labels.pool_strips',
    'apis/labels/test_people.py': (
        'apis.labels.people_round apis.labels.predicted apis.labels.steps apis.labels.take_back'
    ),
    'apis/labels/test_rounds.py': (
        'apis.labels.plan apis.labels.strategies apis.labels.subset apis.labels.summary'
    ),
    'apis/labels/test_select.py': 'apis.labels.candidates apis.labels.k_centre',
    'apis/pages/test_active.py': (
        'apis.labels.contents apis.pages.active_changes apis.pages.active_choices '
        'apis.pages.active_data apis.pages.active_sections'
    ),
    'apis/pages/look/test_page.py': (
        'apis.pages.look.geometry apis.pages.look.masks apis.pages.look.samples '
        'apis.pages.look.words'
    ),
    'apis/pages/test_people.py': 'apis.pages.people_data',
    'apis/pages/test_after_sections.py': 'apis.pages.worst',
    'apis/pages/test_facts.py': 'apis.config.written apis.pages.runs',
    'apis/pages/test_report.py': (
        'apis.draw.figures apis.pages.calibration apis.pages.class_sections '
        'apis.pages.complete apis.pages.examples apis.pages.gather apis.pages.numbers '
        'apis.pages.run_sections apis.pages.score_sections apis.run.network.build'
    ),
    'apis/pages/test_run_report.py': 'apis.draw.curves',
    'apis/predict/test_augmented.py': 'models.segmentors.averaged',
    'apis/predict/test_crf.py': 'apis.predict.crf_picture apis.predict.refinement',
    'apis/run/network/test_fast.py': 'models.layers.winograd',
    'apis/run/network/test_folding.py': 'apis.run.network.watch',
    'apis/predict/test_large.py': 'apis.predict.geotiff apis.predict.large_output',
    'apis/predict/test_predictor.py': (
        'apis.config.pipelines apis.draw.pixels apis.predict.found apis.predict.mask_file '
        'apis.predict.output apis.run.load'
    ),
    'apis/predict/test_scores.py': 'apis.labels.regions',
    'apis/predict/test_windows.py': 'apis.predict.free apis.predict.memory apis.predict.strips',
    'apis/run/test_broken_checkpoints.py': 'apis.run.outcome.old',
    'apis/run/test_checkpoints.py': 'apis.run.testing',
    'apis/run/test_switches.py': 'apis.run.switch_arguments',
    'apis/run/test_folder.py': 'apis.run.network.cost apis.run.outcome.examples',
    'apis/run/test_semi.py': 'apis.config.semi',
    'engine/test_ema_teacher.py': 'engine.semi_constructor engine.step_hook',
    'apis/run/network/test_settings.py': 'apis.run.network.facts apis.run.options '
    'apis.run.network.recorded',
    'apis/serve/test_requests.py': (
        'apis.serve.address apis.serve.openapi apis.serve.problems apis.serve.server'
    ),
    'apis/tables/test_rows.py': 'apis.tables.folders',
    'apis/tables/test_run.py': 'apis.tables.jobs apis.tables.submit apis.tables.user_data',
    'apis/tables/test_values.py': 'apis.tables.text',
    'apis/use/test_predictor.py': 'apis.predict.arrays',
    'apis/userdata/checks/test_check.py': (
        'apis.cli.errors apis.userdata.checks.findings apis.userdata.checks.page '
        'apis.userdata.checks.text apis.userdata.file apis.userdata.pairing apis.userdata.read '
        'apis.userdata.entries apis.userdata.scan'
    ),
    'apis/userdata/find/test_signs.py': 'datasets.mask_facts datasets.signs',
    'apis/userdata/objects/test_find.py': (
        'apis.userdata.objects.class_folders apis.userdata.objects.image_folders '
        'apis.userdata.objects.image_names apis.userdata.objects.owned'
    ),
    'apis/userdata/outlines/test_annotations.py': (
        'apis.userdata.outlines.coco apis.userdata.outlines.drawn apis.userdata.outlines.labelme '
        'apis.userdata.outlines.paint'
    ),
    'apis/userdata/test_formats.py': (
        'apis.userdata.depth apis.userdata.find.channel_files apis.userdata.find.cityscapes '
        'apis.userdata.joining apis.userdata.made apis.userdata.pages'
    ),
    'apis/userdata/volumes/test_cut.py': (
        'apis.userdata.volumes.find apis.userdata.volumes.nifti apis.userdata.volumes.record '
        'apis.userdata.volumes.scale'
    ),
    'apis/userdata/test_apply.py': 'apis.userdata.iterations apis.userdata.loaders',
    'apis/userdata/test_init.py': (
        'apis.userdata.find.classes apis.userdata.find.folders apis.userdata.find.found '
        'apis.userdata.find.layout apis.userdata.find.pairs '
        'apis.userdata.find.side_by_side apis.userdata.find.splits apis.userdata.find.values '
        'apis.userdata.write'
    ),
    'apis/userdata/test_rules.py': (
        'apis.userdata.changes apis.userdata.crop apis.userdata.data apis.userdata.starts'
    ),
    'configs/test_configs.py': 'models.backbones.hrnet',
    'core/test_checkpoints.py': 'core.fitting',
    'core/test_reading.py': 'core.masks',
    'datasets/test_bmseg.py': 'datasets.bmseg_files datasets.groups',
    'datasets/test_checked.py': 'datasets.camvid datasets.voc',
    'datasets/test_loading.py': 'datasets.multichannel',
    'datasets/test_shapes.py': (
        'datasets.shapes_baselines datasets.shapes_files datasets.shapes_variants'
    ),
    'engine/test_hooks.py': 'engine.progress',
    'engine/test_resume.py': 'apis.run.training engine.checkpoint_hook',
    'engine/test_stop_hook.py': 'engine.torchrun',
    'engine/test_grouped.py': 'engine.conv_classes',
    'engine/test_optim_wrapper.py': 'engine.bfloat16',
    'evaluation/test_boundary_f1_metric.py': 'evaluation.label_map_metric evaluation.units',
    'evaluation/test_intervals.py': 'evaluation.influence',
    'evaluation/test_seg_metric.py': 'evaluation.image_counts evaluation.summary',
    'models/layers/test_widened.py': 'models.backbones.any_channels',
    'models/backbones/test_segnet.py': (
        'engine.vgg models.backbones.res_segnet models.decode_heads.conv_seg_head'
    ),
    'models/backbones/test_swin_unet.py': 'models.layers.drop_path models.layers.padding',
    'models/backbones/test_transunet.py': 'models.losses.soft_dice',
    'models/backbones/test_unpadded_unet.py': (
        'datasets.border_weight datasets.elastic models.decode_heads.unpadded_seg_head'
    ),
    'models/decode_heads/test_deeplabv2_head.py': (
        'models.backbones.deeplab_resnet models.backbones.deeplab_vgg16'
    ),
    'models/decode_heads/test_fcn_skip_head.py': (
        'models.backbones.vgg16 models.decode_heads.unet_vgg_head models.layers.bilinear_deconv'
    ),
    'models/decode_heads/test_fmsi_head.py': (
        'models.decode_heads.deeplabv3plus_head models.layers.aspp'
    ),
    'models/layers/test_attentions.py': (
        'models.layers.cbam models.layers.eca models.layers.ema models.layers.gam '
        'models.layers.lsk models.layers.moments models.layers.norms models.layers.parnet '
        'models.layers.pscan models.layers.scsa models.layers.sge models.layers.simam'
    ),
    'models/layers/test_decoder.py': 'core.recompute',
    'models/layers/test_deform_conv.py': (
        'models.layers.deform_gather models.layers.deform_sampling'
    ),
    'models/layers/test_sampling_faults.py': 'models.layers.grid_sampling',
    'models/layers/test_upsampler.py': 'models.layers.deconv',
    'models/losses/test_balanced_ce.py': (
        'models.losses.balance models.losses.class_weights models.losses.pixel_loss'
    ),
    'models/segmentors/test_mask_rcnn.py': 'datasets.instances',
    'models/segmentors/test_semi.py': (
        'models.segmentors.passes models.segmentors.teacher_student models.segmentors.wrapped'
    ),
    'test_hub.py': 'registry',
}
# test file that is called after no module, tool, config or folder of configs -> what it is about
ABOUT = {
    'apis/run/test_adversarial.py': 'runs with two optimisers, of models/segmentors/adversarial.py',
    'apis/run/test_broken_checkpoints.py': 'every tool that takes a checkpoint',
    'apis/run/test_converted_results.py': 'the star of converted weights, from results to cards',
    'configs/test_configs.py': 'every config',
    'apis/pages/test_run_report.py': 'the report of a single run',
    'apis/userdata/test_formats.py': 'data sets that the tools of their formats wrote',
    'configs/test_bases.py': 'what configs inherit',
    'datasets/test_salt_pepper.py': 'one transform of datasets/transforms.py',
    'models/backbones/test_mmpretrain.py': 'backbones of other packages under our heads',
    'models/layers/test_attentions.py': 'all attentions, by one set of tests',
    'models/layers/test_sampling_faults.py': 'coordinates that are not finite, in all that samples',
    'test_commands_run.py': 'commands in README, docs and cards, run',
    'test_documented_commands.py': 'commands in README, docs and cards',
    'test_documents.py': 'README, docs and cards',
    'test_hub.py': 'configs and models by the name of the package',
    'test_import_rules.py': 'who may import whom',
    'test_law.py': 'license, contributing, citation',
    'test_layout.py': 'where tests lie',
    'test_requirements.py': 'what setup.py requires',
    'test_wheel.py': 'what a wheel holds and does',
    'tools/test_start.py': 'how tools begin: help and errors before anything heavy is imported',
    'tools/test_tools.py': 'train.py and test.py, one after the other',
}


def all_tests() -> dict:
    return {p.relative_to(layout.TESTS).as_posix(): p for p in layout.TESTS.rglob('test_*.py')}


def listed() -> dict:
    """Module to the file that tests it, of those that lie elsewhere."""
    pairs = [(module, test) for test, text in ELSEWHERE.items() for module in text.split()]
    assert len(dict(pairs)) == len(pairs), 'a module is listed twice'
    return dict(pairs)


def test_every_module_has_a_test_file():
    """Its own, or one in ELSEWHERE; a new module has either, one that is gone has no line."""
    modules = layout.modules()
    own = {name for name in modules if layout.own_test(name).is_file()}
    assert len(modules) > 180 and len(own) > 80
    without = set(modules) - own - set(listed())
    assert without == set(), 'write test_<module>.py, or name its tests in ELSEWHERE'
    assert set(listed()) - set(modules) == set(), 'ELSEWHERE names modules that are gone'
    assert set(listed()) & own == set(), 'ELSEWHERE names modules that have a file of their own'


def test_the_file_that_is_named_leads_to_the_module():
    wrong = [f'{test} does not import {module}' for module, test in listed().items()
             if not layout.reaches(layout.TESTS / test, module)]  # fmt: skip
    assert wrong == []


def test_every_test_file_is_called_after_something():
    """A module or package, a tool, a config or folder of configs; else ABOUT says what it is."""
    configs = {path.stem for path in (ROOT / 'configs').rglob('*')}
    tools = {path.stem for path in (ROOT / 'tools').rglob('*.py')}

    def counterpart(path) -> bool:
        stem = path.stem.removeprefix('test_')
        folder = path.parent.relative_to(layout.TESTS).as_posix()
        names = dict(configs=configs, tools=tools).get(folder, set())
        return (layout.PACKAGE / folder / f'{stem}.py').is_file() or stem in names

    tests = all_tests()
    assert len(tests) > 100
    loose = {name for name, path in tests.items() if not counterpart(path)}
    assert loose - set(ABOUT) == set(), 'call it after what it tests, or say in ABOUT what that is'
    assert set(ABOUT) - loose == set(), 'ABOUT names files that need no line'


def test_each_file_of_support_says_what_it_is_for():
    files = sorted((layout.TESTS / 'support').glob('*.py'))
    lines = {p.name: (ast.get_docstring(ast.parse(p.read_text())) or '').split('\n') for p in files}
    assert len(files) >= 12
    assert {name for name, text in lines.items() if not text[0].endswith(('.', ':'))} == set()


# --- each test can fail ---------------------------------------------------------------------------

CHECKS = {'raises', 'warns', 'fail', 'onnx_export'}
# what is right when nothing is raised
RAISING = {
    'test_a_correct_config_passes',
    'test_options_may_add_keys_to_dicts_and_runner_settings',
    'test_additional_weights_and_a_ddp_prefix_are_fine',
    'test_other_models_need_nothing',
    'test_whole_results_pass',
    'test_what_changes_no_output_is_allowed',
    'test_md5_of_a_known_text',
    'test_an_ignored_signal_stays_ignored',
}


def _checks(node, functions, seen=()) -> bool:
    """Whether code asserts something, itself or by a function of its file."""
    for part in ast.walk(node):
        name = getattr(part, 'attr', getattr(part, 'id', ''))
        if isinstance(part, ast.Assert) or name in CHECKS or str(name).startswith('assert_'):
            return True
        if name in functions and name not in seen:
            if _checks(functions[name], functions, (*seen, name)):
                return True
    return False


def test_every_test_asserts_something_and_hides_no_other():
    count, silent = 0, []
    for name, path in all_tests().items():
        functions = [n for n in layout.tree(path).body if isinstance(n, ast.FunctionDef)]
        tests = [function for function in functions if function.name.startswith('test_')]
        assert len({test.name for test in tests}) == len(tests), f'{name}: a name is taken twice'
        count += len(tests)
        by_name = {function.name: function for function in functions}
        silent += [test.name for test in tests if not _checks(test, by_name, (test.name,))]
    assert count > 1500
    assert set(silent) == RAISING


@pytest.mark.parametrize('text, checks', [
    ('def test_a(): f()', False), ('def test_a():\n for x in y: assert x', True),
    ('def test_a(): torch.testing.assert_close(a, b)', True), ('def test_a(): f(raises)', True),
    ('def helper(): assert x\ndef test_a(): helper()', True),
    ('def helper(): helper()\ndef test_a(): helper()', False),
])  # fmt: skip
def test_what_asserts(text, checks):
    functions = {node.name: node for node in ast.parse(text).body}
    assert _checks(functions['test_a'], functions, ('test_a',)) is checks


# --- make test-fast -------------------------------------------------------------------------------

STARTS = {'subprocess', 'Runner', 'multiprocessing'}


def test_fast_tests_start_nothing():
    """Of models and metrics, by the names in them and by what they ask for."""
    seen = 0
    for folder in ('models', 'evaluation'):
        for path in (layout.TESTS / folder).rglob('test_*.py'):
            for test in layout.tree(path).body:
                if isinstance(test, ast.FunctionDef) and test.name.startswith('test_'):
                    seen += 1
                    names = {n.id for n in ast.walk(test) if isinstance(n, ast.Name)}
                    fixtures = {argument.arg for argument in test.args.args}
                    assert names.isdisjoint(STARTS) or selection.starts_something(fixtures), (
                        test.name
                    )
    assert seen > 400


@pytest.mark.parametrize('fixtures, runs', [
    (['tmp_path'], False), ([], False), (['tmp_path', 'python_tool'], True),
    (['tiny_data'], False), (['tiny_data', 'tiny_config'], True), (['two_ranks'], True),
])  # fmt: skip
def test_what_is_left_out_of_the_fast_ones(fixtures, runs):
    assert selection.starts_something(fixtures) is runs


def test_this_test_is_marked_by_what_it_asks_for(request, tiny_config):
    assert request.node.get_closest_marker('runs')
    assert tiny_config.is_file()
