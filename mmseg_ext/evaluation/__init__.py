"""Scores of label maps and the metric that reports them."""

from .seg_metric import SegMetric

__all__ = ['SegMetric']
