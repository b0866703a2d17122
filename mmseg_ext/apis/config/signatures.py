"""The arguments that a class or function takes, ``**kwargs`` followed through the parents."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache

from torch import nn


@cache
def arguments_of(kind: Callable) -> tuple[frozenset, bool]:
    """Return the names of the arguments of a class or function.

    Returns:
        The names, and whether other names may be accepted too, by ``**kwargs`` that are not only
        passed to the parent. The attribute ``passes_on_to`` of a function names the class, or base
        class, that gets its ``**kwargs``.
    """
    if not inspect.isclass(kind):
        names, swallow = _own_arguments(kind)
        target = getattr(kind, 'passes_on_to', None)
        return names | (arguments_of(target)[0] if target else names), swallow is not None
    names = frozenset()
    for parent in kind.__mro__:
        if parent in (object, nn.Module):
            break  # takes nothing
        init = parent.__dict__.get('__init__')
        if init is None:
            continue
        own, swallow = _own_arguments(init)
        names |= own
        if swallow is None:
            break
        if not _only_passed_on(init, swallow):
            return names, True
    return names, False


def _own_arguments(function: Callable) -> tuple:
    """Return the named arguments, and the name of ``**kwargs`` if there is one."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C: no signature
        return frozenset(), 'kwargs'
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    swallow = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    return (frozenset(p.name for p in parameters if p.kind in named and p.name != 'self'),
            swallow[0] if swallow else None)  # fmt: skip


def _only_passed_on(init: Callable, name: str) -> bool:
    """Tell whether ``**name`` is only used in the call of the parent's ``__init__``."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(init)))
    except (OSError, TypeError, SyntaxError):
        return False
    uses = sum(isinstance(n, ast.Name) and n.id == name for n in ast.walk(tree))
    passed = 0
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and ast.unparse(call.func).startswith('super(') and \
                ast.unparse(call.func).endswith('.__init__'):  # fmt: skip
            passed += sum(k.arg is None and ast.unparse(k.value) == name for k in call.keywords)
    return uses == passed == 1
