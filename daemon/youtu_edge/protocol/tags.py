"""Tags around thoughts in an answer; chat templates and models write them. Those of tool calls: tool_formats."""

THOUGHTS = {"<think>": "</think>", "<|thought_start|>": "<|thought_end|>"}
"""What begins a thought at the beginning of an answer, and what ends it. The second pair is MiniCPM's, with tools."""

THOUGHT_BEGIN, THOUGHT_END = "<think>", THOUGHTS["<think>"]
"""Those that a prompt may end with."""


def thought_of(text: str) -> tuple[str, str] | None:
    """The tags around the thought with which an answer begins."""
    return next(((begin, end) for begin, end in THOUGHTS.items() if text.startswith(begin)), None)


def may_become_thought(text: str) -> bool:
    """Whether text is the beginning of a tag, or nothing yet."""
    return any(begin.startswith(text) for begin in THOUGHTS)
