"""Parts with one contract each; they import nothing of ours outside this folder."""

from .aspp import ASPP

__all__ = ['ASPP']
