"""The bodies of Ollama's API, and what they ask of the engine."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from youtu_edge.front.admission.intake import Intake
from youtu_edge.front.dialects.common.messages import MAX_MESSAGES
from youtu_edge.front.dialects.common.tools import Tool, check_tools, offer_tools
from youtu_edge.front.dialects.ollama.messages import OllamaMessage, chat_messages
from youtu_edge.front.dialects.ollama.options import OTHER_OPTIONS, OllamaOptions, max_new_tokens
from youtu_edge.front.http.field_table import FieldTable, Hint, Refused
from youtu_edge.front.inflight.generation_request import GenerationRequest
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import Grammar, JsonObject, JsonSchema
from youtu_edge.request_errors import InvalidRequestError

FIELDS = FieldTable(
    {
        "context": Refused([]),
        "images": Refused([]),
        "keep_alive": Hint(-1, "-1", "-1s"),
        "logprobs": Refused(False),
        "shift": Refused(False),
        "template": Refused(""),
        "top_logprobs": Refused(0),
        "truncate": Refused(False),
        **{f"options.{name}": field for name, field in OTHER_OPTIONS.items()},
    }
)
"""Ollama's parameters that are not computed here."""

SHOW_FIELDS = FieldTable({"verbose": Hint(False)})
"""The same for POST /api/show."""

_THINKING = "enable_thinking"
"""Its name in chat templates."""

NAMES = {f"chat_template_kwargs.{_THINKING}": "think"}
"""This dialect's names of fields that an error of the engine may name."""

_LATEST = ":latest"
"""Ollama's tag of a model without another one."""


class OllamaFields(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What both generating routes accept. `keep_alive` has no effect: the model stays loaded."""

    model: str | None = None
    stream: bool = True
    format: Literal["", "json"] | dict[str, Any] | None = None
    think: bool | None = None
    options: OllamaOptions | None = None
    keep_alive: float | str | None = None

    @property
    def grammar(self) -> Grammar | None:
        """What the answer has to satisfy."""
        if isinstance(self.format, dict):
            return JsonSchema("format", self.format)
        return JsonObject("format") if self.format == "json" else None


class OllamaChatBody(OllamaFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /api/chat. Without messages it asks whether the model is loaded."""

    messages: Annotated[list[OllamaMessage], Meta(max_length=MAX_MESSAGES)] | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None


class OllamaGenerateBody(OllamaFields, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /api/generate. Without a prompt it asks whether the model is loaded."""

    prompt: str | None = None
    suffix: str | None = None
    """The text that follows the answer; implies `raw`."""
    system: str | None = None
    raw: bool | None = None
    """True: the prompt is continued as it is, without a chat template."""


class OllamaShowBody(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """Body of POST /api/show; `name` is the older word for `model`. `verbose` makes no difference."""

    model: str | None = None
    name: str | None = None
    verbose: bool | None = None


def check_model(intake: Intake, requested: str | None) -> None:
    """Raises ModelNotFoundError unless it names the served model, in any case and with or without `:latest`."""
    names = {name.casefold().removesuffix(_LATEST) for name in intake.model.names}
    if requested is not None and requested.casefold().removesuffix(_LATEST) not in names:
        intake.check_name(requested)


def tagged(name: str) -> str:
    """The model's name with a tag, as Ollama lists it."""
    return name if ":" in name else name + _LATEST


def chat_request(intake: Intake, body: OllamaChatBody) -> GenerationRequest:
    """The request for the answer. Raises InvalidRequestError and UnsupportedParameterError naming the field."""
    check_tools(body.tools, None)
    submit = _submit(intake, body)
    submit.messages = chat_messages(body.messages or ())
    offer_tools(submit, body.tools, None, None)
    return submit


def generate_request(intake: Intake, body: OllamaGenerateBody) -> GenerationRequest:
    """The request for the answer. Raises InvalidRequestError and UnsupportedParameterError naming the field."""
    is_raw = body.raw or bool(body.suffix)
    why = "suffix" if body.suffix else "raw: true"
    if is_raw and body.system:
        raise InvalidRequestError(f"system: cannot be combined with {why}", param="system")
    if is_raw and body.think is not None:
        raise InvalidRequestError(f"think: cannot be combined with {why}", param="think")
    submit = _submit(intake, body)
    prompt = body.prompt or ""
    if is_raw:
        submit.prompt, submit.suffix = prompt, body.suffix or ""
    else:
        system = [ChatMessage("system", body.system)] if body.system else []
        submit.messages = [*system, ChatMessage("user", prompt)]
    return submit


def _submit(intake: Intake, body: OllamaFields) -> GenerationRequest:
    options = body.options or OllamaOptions()
    submit = intake.submit("ollama-", options.sampling, max_new_tokens(intake, options), options.stop)
    submit.grammar = body.grammar
    if body.think is not None:
        submit.template_kwargs = {_THINKING: body.think}
    return submit
