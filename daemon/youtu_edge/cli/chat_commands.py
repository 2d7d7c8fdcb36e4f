"""The commands of `youtu-edge chat`: lines that begin with a slash."""

from __future__ import annotations

import json
import os

from youtu_edge.cli.conversation import Conversation
from youtu_edge.command_parser import did_you_mean
from youtu_edge.errors import YoutuEdgeError

COMMANDS = {
    "/help": ("", "show this list"),
    "/clear": ("", "forget the conversation, but not the system message"),
    "/system": ("TEXT", "change the system message; without TEXT: remove it"),
    "/save": ("FILE", "write the conversation to a new file: JSON if FILE ends in .json, else Markdown"),
    "/exit": ("", "leave; Ctrl-D too"),
}
"""Name -> its argument, and what it does."""
_TITLES = {"system": "System", "user": "Question", "assistant": "Answer"}


def run_command(line: str, conversation: Conversation) -> str:
    """Execute a command other than /exit; returns what to tell the user. Raises YoutuEdgeError if it cannot be executed."""
    name, _, argument = line.partition(" ")
    argument = argument.strip()
    if name not in COMMANDS:
        known = did_you_mean(name, COMMANDS) or "; /help shows the commands"
        raise YoutuEdgeError(f"{name!r} is not a command{known} (a question that begins with a slash: write two)")
    if argument and not COMMANDS[name][0]:
        raise YoutuEdgeError(f"{name} takes no argument")
    if name == "/clear":
        conversation.clear()
        return "The conversation is empty."
    if name == "/system":
        conversation.system = argument
        return "The system message is changed." if argument else "There is no system message now."
    if name == "/save":
        return _save(argument, conversation)
    return _help()


def is_command(line: str) -> bool:
    """Two slashes begin a question, with one."""
    return line.startswith("/") and not line.startswith("//")


def _help() -> str:
    lines = [f"{name + ' ' + argument:<13} {text}" for name, (argument, text) in COMMANDS.items()]
    return "\n".join([*lines, f"{'//TEXT':<13} ask /TEXT", f"{'Ctrl-C':<13} stop an answer"])


def _save(name: str, conversation: Conversation) -> str:
    if not name:
        raise YoutuEdgeError("/save needs the name of a file, such as /save talk.md")
    if conversation.is_empty:
        raise YoutuEdgeError("the conversation is empty: there is nothing to save")
    messages = conversation.messages
    if name.endswith(".json"):
        text = json.dumps({"messages": messages}, ensure_ascii=False, indent=2) + "\n"
    else:
        text = "\n".join(f"## {_TITLES[message['role']]}\n\n{message['content']}\n" for message in messages)
    try:
        with open(os.path.expanduser(name), "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise YoutuEdgeError(f"{name}: exists; choose another name") from None
    except (OSError, ValueError) as error:
        raise YoutuEdgeError(f"{name}: cannot be written: {getattr(error, 'strerror', None) or error}") from None
    return f"Saved {len(messages)} messages to {name}."
