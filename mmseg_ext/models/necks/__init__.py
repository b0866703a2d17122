"""Feature maps to feature maps: context modules for decode heads."""

from .affp import AFFP, FRM, FSM, SPPM

__all__ = ['AFFP', 'FRM', 'FSM', 'SPPM']
