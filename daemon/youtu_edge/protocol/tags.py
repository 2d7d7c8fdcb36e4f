"""Tags around thoughts in an answer; chat templates and models write them. Those of tool calls: tool_formats."""

THOUGHT_BEGIN, THOUGHT_END = "<think>", "</think>"
