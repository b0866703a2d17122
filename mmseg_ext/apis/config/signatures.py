"""List the arguments that a class or function takes, also those that its parents take."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache

from torch import nn


@cache
def arguments_of(kind: Callable) -> tuple[frozenset, bool]:
    """Return the names of the arguments of a class or function.

    If a class passes its ``**kwargs`` on to its parent, the arguments of the parent are included. A
    function can name the class that gets its ``**kwargs`` in its attribute ``passes_on_to``.

    Returns:
        The names, and whether ``**kwargs`` may accept other names too.
    """
    if not inspect.isclass(kind):
        names, swallow = _own_arguments(kind)
        target = getattr(kind, 'passes_on_to', None)
        return names | (arguments_of(target)[0] if target else names), swallow is not None
    names = frozenset()
    for parent in kind.__mro__:
        if parent in (object, nn.Module):
            break  # has no arguments of its own
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
    except (TypeError, ValueError):  # a function written in C has no signature
        return frozenset(), 'kwargs'
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    swallow = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    return (frozenset(p.name for p in parameters if p.kind in named and p.name != 'self'),
            swallow[0] if swallow else None)  # fmt: skip


def _only_passed_on(init: Callable, name: str) -> bool:
    """Tell whether ``**name`` is used only in one call of the parent's ``__init__``."""
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
