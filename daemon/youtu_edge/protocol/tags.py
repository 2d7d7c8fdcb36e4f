"""Tags around thoughts and tool calls in an answer; chat templates and models write them."""

THOUGHT_BEGIN, THOUGHT_END = "<think>", "</think>"
CALL_BEGIN, CALL_END = "<tool_call>", "</tool_call>"
