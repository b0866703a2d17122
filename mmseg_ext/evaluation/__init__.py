"""Scores of predicted label maps, and the metrics that report them."""

from .boundary_f1_metric import BoundaryF1Metric
from .calibration_metric import CalibrationMetric
from .detail_metric import DetailMetric
from .pseudo_label_metric import PseudoLabelMetric
from .seg_metric import SegMetric
from .surface_metric import SurfaceMetric

__all__ = [
    'BoundaryF1Metric',
    'CalibrationMetric',
    'DetailMetric',
    'PseudoLabelMetric',
    'SegMetric',
    'SurfaceMetric',
]
