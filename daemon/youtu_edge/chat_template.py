"""Compiles chat templates in one sandbox for engine and exporter, so that every exported template can be rendered.

The names and filters are those of Hugging Face's `apply_chat_template`. `{% generation %}`, which marks the assistant's
text for training, renders its body.
"""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.meta
import jinja2.nodes
import jinja2.parser
import jinja2.sandbox


class TemplateSourceError(ValueError):
    """Jinja cannot compile the text; the message has the line but not the file."""


@dataclass(frozen=True)
class ChatTemplate:
    """A compiled template, and the names of the variables it looks up: no other variable affects the result."""

    compiled: jinja2.Template
    names: frozenset[str]

    def render(self, variables: dict[str, Any]) -> str:
        """The text. Raises any exception that the template causes."""
        return self.compiled.render(variables)


class _GenerationTag(jinja2.ext.Extension):
    """`{% generation %}…{% endgeneration %}`."""

    tags = {"generation"}

    def parse(self, parser: jinja2.parser.Parser) -> jinja2.nodes.Node:
        line = next(parser.stream).lineno
        body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
        return jinja2.nodes.Scope(body, lineno=line)  # as in transformers: variables set inside are not visible outside


def compile_template(source: str) -> ChatTemplate:
    """Raises TemplateSourceError."""
    environment = jinja2.sandbox.ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[jinja2.ext.loopcontrols, _GenerationTag]
    )
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _now
    environment.filters["tojson"] = _to_json
    try:
        names = jinja2.meta.find_undeclared_variables(environment.parse(source))
        return ChatTemplate(environment.from_string(source), frozenset(names))
    except jinja2.TemplateSyntaxError as error:
        raise TemplateSourceError(f"line {error.lineno}: {error.message}") from None
    except Exception as error:  # Jinja generates Python, which has its own limits: nested blocks, recursion, digits
        raise TemplateSourceError(f"{type(error).__name__}: {error}") from None


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


def _now(pattern: str) -> str:
    return datetime.datetime.now().strftime(pattern)


def _to_json(
    value: Any,
    ensure_ascii: bool = False,
    indent: int | str | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,
) -> str:
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)
