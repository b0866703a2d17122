"""Scores of label maps and the metrics that report them."""

from .seg_metric import SegMetric
from .surface_metric import SurfaceMetric

__all__ = ['SegMetric', 'SurfaceMetric']
