"""Figures of a card: which rows they show, and what of each."""

from matplotlib.axes import Axes

from mmseg_ext.apis.cards import figure
from mmseg_ext.apis.cards.results_table import group, results_section


def _run(seed, value, config='a', iterations=800):
    ends = dict(low=value - 0.1, high=value + 0.1)
    return dict(
        config=config, seed=seed, iterations=iterations, parameters=1,
        metrics=dict(mIoU=dict(value=value, **ends)),
        dataset=dict(name='CamVidDataset', split='test', num_images=9),
        intervals=dict(unit='image', units=30),
    )  # fmt: skip


def test_a_figure_follows_the_table() -> None:
    section = results_section([_run(0, 0.5), _run(1, 0.6), _run(0, 0.7, config='b')], 'fmsi')
    assert section.count('](../../docs/results/fmsi_camviddataset_test.svg)') == 1
    assert '.svg' not in results_section([_run(0, 0.5), _run(1, 0.6)], 'fmsi'), 'one row'


def test_a_figure_shows_each_seed_and_the_interval_of_a_single_one(monkeypatch) -> None:
    rows = group([_run(0, 0.5), _run(1, 0.6), _run(0, 0.7, config='b')])
    (found,) = figure.by_data(rows).values()
    assert [runs[0]['config'] for runs in found] == ['b', 'a'], 'best first'
    drawn, plot = [], Axes.plot
    monkeypatch.setattr(Axes, 'plot', lambda axes, x, y, *rest, **style: (
        drawn.append((y[0], [round(value, 6) for value in x])), plot(axes, x, y, *rest, **style))[1]
    )  # fmt: skip
    svg = figure.draw(found)
    assert drawn == [
        (0, [70.0]), (0, [70.0]), (0, [60.0, 80.0]),  # its seed, its mean, its interval
        (1, [50.0, 60.0]), (1, [55.0]),  # seeds and their mean: of several no interval of one
    ]  # fmt: skip
    assert b'<svg' in svg


def test_trainings_of_different_lengths_stand_apart(monkeypatch) -> None:
    short = [_run(0, 0.7, config='b'), _run(0, 0.6, config='a')]
    rows = group([*short, _run(0, 0.5, config='a', iterations=2000)])
    (found,) = figure.by_data(rows).values()
    assert [(runs[0]['config'], runs[0]['iterations']) for runs in found] == [
        ('a', 2000), ('b', 800), ('a', 800),
    ]  # fmt: skip
    lines = []
    monkeypatch.setattr(Axes, 'axhline', lambda axes, y, **style: lines.append(y))
    figure.draw(found)
    assert lines == [0.5], 'between the longer one and the two others'
