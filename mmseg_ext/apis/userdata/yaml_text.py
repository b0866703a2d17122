"""Strict reading of hand-written YAML; each error message is one line.

It refuses repeated keys, aliases that expand a small file enormously, and nesting deeper than any
data set file needs.
"""

import reprlib
from collections import Counter
from pathlib import Path
from typing import Any, Union

import yaml

_LARGEST = 200_000  # bytes
_DEEPEST = 12  # levels
_MOST_ALIASES = 100

_brief = reprlib.Repr()
_brief.maxlevel, _brief.maxstring, _brief.maxother, _brief.maxlong = 2, 60, 60, 40


def shown(value: Any) -> str:
    """A value for a message: no longer than a line, whatever it holds."""
    return _brief.repr(value)


class _StrictLoader(yaml.SafeLoader):
    """A loader that counts levels and aliases and compares keys."""

    depth = 0
    aliases = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        self.aliases += self.check_event(yaml.AliasEvent)
        self.depth += 1
        mark = self.peek_event().start_mark
        if self.depth > _DEEPEST:
            raise yaml.MarkedYAMLError(problem=f'more than {_DEEPEST} levels', problem_mark=mark)
        if self.aliases > _MOST_ALIASES:
            raise yaml.MarkedYAMLError(
                problem=f'more than {_MOST_ALIASES} aliases (*name)', problem_mark=mark
            )
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node

    def flatten_mapping(self, node: Any) -> None:
        for key, _ in node.value:
            if key.tag == 'tag:yaml.org,2002:merge':  # doubles in size with every level
                raise yaml.MarkedYAMLError(
                    problem='merging (<<) is not read: write the entries out',
                    problem_mark=key.start_mark,
                )

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = [(key.tag, key.value) for key, _ in node.value if isinstance(key, yaml.ScalarNode)]
        twice = [name for (_, name), number in Counter(keys).items() if number > 1]
        if twice:
            raise yaml.MarkedYAMLError(
                problem=f'{shown(twice[0])} is given twice: keep one', problem_mark=node.start_mark
            )
        return super().construct_mapping(node, deep=deep)


def read_yaml(path: Union[str, Path]) -> Any:
    """Read a file of YAML: UTF-8, with or without a mark, or UTF-16 with one.

    Raises:
        ValueError: If it is no valid YAML, or no text, naming the file and the line.
    """
    return parse_yaml(Path(path).read_bytes(), path)


def parse_yaml(content: bytes, path: Union[str, Path]) -> Any:
    """Parse the content of a file of YAML; see :func:`read_yaml`."""
    if len(content) > _LARGEST:
        raise ValueError(
            f'{path}: {len(content)} bytes, where a data set file has a line for each class (at '
            f'most {_LARGEST} bytes)'
        )
    wide = content[:2] in (b'\xff\xfe', b'\xfe\xff')
    try:
        text = content.decode('utf-16' if wide else 'utf-8-sig')
        return yaml.load(text, _StrictLoader)
    except UnicodeDecodeError as error:
        raise ValueError(f'{path}: no UTF-8 text ({error}): save it as UTF-8') from error
    except yaml.YAMLError as error:
        raise ValueError(f'{path}: no valid YAML ({_reason(error)})') from error
    except (ValueError, TypeError, RecursionError, OverflowError) as error:
        # Of a constructor: a date that is none, a number of thousands of digits.
        raise ValueError(f'{path}: a value cannot be read ({shown(str(error))})') from error


def _reason(error: yaml.YAMLError) -> str:
    problem = getattr(error, 'problem', None) or getattr(error, 'reason', None) or str(error)
    mark = getattr(error, 'problem_mark', None)
    if mark is None:
        return ' '.join(str(problem).split())[:200]
    tab = "found character '\\t'" in str(problem)
    hint = ': indent with spaces, not with tabs' if tab else ''
    return f'line {mark.line + 1}, column {mark.column + 1}: {str(problem)[:200]}{hint}'
