"""What all tools share: arguments, how a tool ends, and the tools as commands.

A tool calls ``cli.run_tool(main)`` and parses with ``cli.parse_args``, or ``parse_commands``.
"""

from ...core.exports import door

__getattr__, __dir__, __all__ = door(
    __name__,
    arguments='Options parse_args parse_commands parse_options',
    errors='run_tool',
)
