"""Numbers with their uncertainty: means, spreads and ends are those that were given."""

from mmseg_ext.apis.draw.numbers import with_interval, with_spread


def test_a_spread_takes_two_values():
    assert with_spread([0.5]) == '0.5000'
    assert with_spread([1.0, 2.0, 6.0], digits=2) == '3.00 ± 2.65'  # sqrt((4 + 1 + 9) / 2)


def test_an_interval_is_signed_and_may_be_absent():
    assert with_interval(0.25, (-0.5, 1.0), digits=2) == '+0.25 (-0.50 to +1.00)'
    assert with_interval(-0.25, (None, None)) == '-0.2500 (no interval)'
