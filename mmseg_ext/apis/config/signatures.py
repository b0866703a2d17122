"""The arguments that a class or function takes, ``**kwargs`` followed through the parents."""

import ast
import inspect
import textwrap
from collections.abc import Callable
from functools import cache

from torch import nn


@cache
def arguments_of(kind: Callable) -> tuple[frozenset, bool]:
    """Names of the arguments that a class or function takes.

    Returns:
        The names, and whether any other name may be taken as well: ``**kwargs`` that do more than
        go to the parent. A function says in ``passes_on_to`` to which class, or a kind of it.
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
    """Named arguments, and the name of ``**kwargs`` if there is one."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C: unknown
        return frozenset(), 'kwargs'
    named = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    swallow = [p.name for p in parameters if p.kind is inspect.Parameter.VAR_KEYWORD]
    return (frozenset(p.name for p in parameters if p.kind in named and p.name != 'self'),
            swallow[0] if swallow else None)  # fmt: skip


def _only_passed_on(init: Callable, name: str) -> bool:
    """Whether ``**name`` appears only in the call of the parent's ``__init__``."""
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
