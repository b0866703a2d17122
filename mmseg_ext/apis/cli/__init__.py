"""What all tools share: arguments, how a tool ends, and the tools as commands."""
