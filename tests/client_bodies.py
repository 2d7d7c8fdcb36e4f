"""Requests as coding agents send them, rebuilt from public descriptions, with short texts in place of the long ones.

`claude_code` follows versions 2.1 of Claude Code with a model that it does not know, `codex` versions 0.140 of Codex with a
provider whose `wire_api` is "responses" and web_search = "disabled". Both are one turn after a tool was called.
"""

from __future__ import annotations

from typing import Any

QUESTION = "which files are here?"
RESULT = "README.md\nsrc"
CACHED = {"type": "ephemeral", "ttl": "1h"}

CLAUDE_CODE_TOOLS: list[dict[str, Any]] = [
    {
        "name": "Bash",
        "description": "Runs a command.",
        "input_schema": {
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "type": "object",
            "properties": {
                "command": {"description": "The command", "type": "string"},
                "timeout": {"description": "Milliseconds", "type": "number"},
                "run_in_background": {"type": "boolean"},
            },
            "required": ["command"],
            "additionalProperties": False,
        },
        "eager_input_streaming": True,
    },
    {
        "name": "Read",
        "description": "Reads a file.",
        "input_schema": {
            "type": "object",
            "properties": {"file_path": {"type": "string"}, "limit": {"type": "integer", "exclusiveMinimum": 0}},
            "required": ["file_path"],
            "additionalProperties": False,
        },
        "cache_control": CACHED,
    },
]


def claude_code(max_tokens: int) -> dict[str, Any]:
    """Body of POST /v1/messages?beta=true. `max_tokens` is CLAUDE_CODE_MAX_OUTPUT_TOKENS, 32000 by default."""
    called = {"type": "tool_use", "id": "toolu_01", "name": "Bash", "input": {"command": "ls", "description": "List files"}}
    return {
        "model": "youtu",
        "max_tokens": max_tokens,
        "stream": True,
        "temperature": 1,
        "system": [
            {"type": "text", "text": "x-anthropic-billing-header: cc_version=2.1.156.b94; cc_entrypoint=cli; cch=fa690;"},
            {"type": "text", "text": "You are a coding agent.", "cache_control": {**CACHED, "scope": "global"}},
            {"type": "text", "text": "# Environment\nThe shell is bash.", "cache_control": CACHED},
        ],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "<system-reminder>Today is a Monday.</system-reminder>"},
                    {"type": "text", "text": QUESTION, "cache_control": {"type": "ephemeral"}},
                ],
            },
            {"role": "system", "content": "More tools are available on request."},
            {
                "role": "assistant",
                "content": [{"type": "thinking", "thinking": "List them.", "signature": ""}, called],
            },
            {
                "role": "user",
                "content": [
                    {
                        "tool_use_id": "toolu_01",
                        "type": "tool_result",
                        "content": RESULT,
                        "is_error": False,
                        "cache_control": {"type": "ephemeral"},
                    }
                ],
            },
        ],
        "tools": CLAUDE_CODE_TOOLS,
        "metadata": {"user_id": '{"device_id":"0f","account_uuid":"","session_id":"cf97e168-d4f9-4831-b26f-2ec3149ea7f0"}'},
        "thinking": {"type": "enabled", "budget_tokens": max_tokens - 1},
        "output_config": {"effort": "medium"},
        "context_management": {"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
    }


CLAUDE_CODE_IGNORED = "context_management, output_config.effort, thinking.budget_tokens"
"""What of it is named as ignored."""

CODEX_INPUT: list[dict[str, Any]] = [
    {
        "type": "message",
        "role": "developer",
        "content": [{"type": "input_text", "text": "<permissions instructions>Ask first.</permissions instructions>"}],
    },
    {
        "type": "message",
        "role": "user",
        "content": [
            {"type": "input_text", "text": "# AGENTS.md instructions\nBe brief."},
            {"type": "input_text", "text": "<environment_context><cwd>/src</cwd></environment_context>"},
        ],
    },
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": QUESTION}]},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [],
        "content": [{"type": "reasoning_text", "text": "List them."}],
        "encrypted_content": None,
    },
    {
        "type": "message",
        "id": "msg_1",
        "role": "assistant",
        "status": "completed",
        "phase": "commentary",
        "content": [{"type": "output_text", "text": "I list them.", "annotations": []}],
    },
    {
        "type": "function_call",
        "id": "fc_1",
        "name": "exec_command",
        "arguments": '{"cmd":"ls"}',
        "call_id": "call_1",
    },
    {"type": "function_call_output", "call_id": "call_1", "output": RESULT},
]

CODEX_TOOLS: list[dict[str, Any]] = [
    {
        "type": "function",
        "name": "exec_command",
        "description": "Runs a command.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {
                "cmd": {"type": "string", "description": "The command"},
                "yield_time_ms": {"type": "number"},
                "tty": {"type": "boolean"},
            },
            "required": ["cmd"],
            "additionalProperties": False,
        },
    },
    {
        "type": "function",
        "name": "update_plan",
        "description": "Updates the plan.",
        "strict": False,
        "parameters": {
            "type": "object",
            "properties": {
                "plan": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "step": {"type": "string"},
                            "status": {"type": "string", "enum": ["pending", "in_progress", "completed"]},
                        },
                        "required": ["step", "status"],
                        "additionalProperties": False,
                    },
                }
            },
            "required": ["plan"],
            "additionalProperties": False,
        },
    },
    {
        "type": "namespace",
        "name": "multi_agent_v1",
        "description": "Agents that work beside this one.",
        "tools": [
            {
                "type": "function",
                "name": "spawn_agent",
                "description": "Starts an agent.",
                "strict": False,
                "parameters": {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]},
            }
        ],
    },
]


def codex() -> dict[str, Any]:
    """Body of POST /v1/responses."""
    session = "019ff829-5d1c-7f00-8000-3f9f8c6b2a11"
    return {
        "model": "youtu",
        "instructions": "You are a coding agent.",
        "input": CODEX_INPUT,
        "tools": CODEX_TOOLS,
        "tool_choice": "auto",
        "parallel_tool_calls": True,
        "reasoning": {"effort": "medium", "summary": "auto"},
        "store": False,
        "stream": True,
        "include": ["reasoning.encrypted_content"],
        "service_tier": "priority",
        "prompt_cache_key": session,
        "text": {"verbosity": "low"},
        "client_metadata": {"x-codex-installation-id": "a18f17ab", "session_id": session, "thread_id": session},
    }


CODEX_IGNORED = "client_metadata, include[], prompt_cache_key, reasoning.summary, service_tier, text.verbosity"
"""What of it is named as ignored."""
