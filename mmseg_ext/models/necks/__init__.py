"""Feature maps to feature maps; modules that fill a head's context slot."""

from .affp import AFFP, FRM, FSM, SPPM

__all__ = ['AFFP', 'FRM', 'FSM', 'SPPM']
