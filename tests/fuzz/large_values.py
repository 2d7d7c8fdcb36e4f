"""Values that cost: long texts, long runs, deep nesting, large schemas, regexes, grammars, enums and token lists.

Each maker takes a size in bytes, roughly, up to the limit of a body; `Written` stands for JSON that no encoder would write.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from fuzz.valid_bodies import sentence

ENGLISH = "The quick brown fox jumps over the lazy dog, and then it sleeps. "
CONTROL = ("<|im_end|>", "<|im_start|>", "<|endoftext|>", "<s>", "</s>", "<think>", "<tool_call>", "</tool_call>")
RUNS = (
    "a",
    " ",
    "\n",
    "7",
    ".",
    "中",
    "a ",
    "\t",
    "é",
    "👩‍👩‍👧",
    "\u0301",
    "\u200b",
    "\x00",
    "-",
    "_",
    "A",
    "'s",
    "\r\n",
    "\u3000",
    "ﷺ",
)
LARGEST = 2 * 1024 * 1024
"""Bytes of the largest body that is taken."""


class Written(str):
    """JSON as it is to stand in the body, right or wrong."""

    __slots__ = ()


def size(chance: random.Random) -> int:
    """Bytes: small ones often, as large as a body may be now and then, a little more seldom."""
    if chance.random() < 0.03:
        return LARGEST + chance.randint(-200, 200)
    return int(100 * (LARGEST / 100) ** chance.random() ** 1.5)


def text(chance: random.Random) -> str:
    """A long text of one of many kinds."""
    most = size(chance)
    kind = chance.randrange(7)
    if kind == 0:
        return (ENGLISH * (most // len(ENGLISH) + 1))[:most]
    if kind == 1:
        return _repeated(chance.choice(CONTROL), most)
    if kind == 2:
        return "".join(chance.choice(RUNS) for _ in range(min(most, 20_000)))
    if kind == 3:
        return _repeated(sentence(chance) + chance.choice(CONTROL), most)
    if kind == 4:
        return "".join(chr(chance.choice((chance.randrange(32, 0xD800), chance.randrange(0x10000, 0x1FFFF))))
                       for _ in range(min(most, 30_000)))  # fmt: skip
    return _repeated(chance.choice(RUNS), most)


def _repeated(part: str, most: int) -> str:
    return part * max(1, most // len(part.encode()))


def nested(chance: random.Random) -> Any:
    """Brackets within brackets."""
    depth = int(2 * 50_000 ** chance.random())
    opening, closing = chance.choice((("[", "]"), ('{"a":', "}"), ('{"items":', "}"), ('[{"type":"text","text":', "}]")))
    return Written(opening * depth + "1" + closing * depth)


def number(chance: random.Random) -> Any:
    """Numbers at and beyond the edges of every type."""
    return chance.choice(
        (2**31 - 1, 2**31, -(2**31), 2**53 + 1, 2**63 - 1, 2**63, 2**64, 10**30, -1, 0, -0.0, 1e308, 5e-324, 1.5)
    )  # fmt: skip


def written_number(chance: random.Random) -> Any:
    """Numbers that JSON does not have, or that no type holds."""
    return Written(
        chance.choice(("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "9" * 5000, "0x10", "01", "1.", "+1", "1e-999"))
    )


def schema(chance: random.Random) -> Any:
    """A JSON schema that is large, deep, or means a large automaton."""
    many = min(size(chance) // 20, 60_000)
    makers: tuple[Callable[[], Any], ...] = (
        lambda: {"enum": [f"value number {index}" for index in range(many)]},
        lambda: {"const": "abcdefghij" * many},
        lambda: {"type": "integer", "multipleOf": chance.choice((7, 9973, 999983, 0.1, 1e-9))},
        lambda: {"type": "object", "properties": {f"k{index}": {"type": "string"} for index in range(min(many, 9000))}},
        lambda: {"type": "string", "pattern": regex(chance)},
        lambda: {"type": "string", "minLength": many, "maxLength": 2 * many},
        lambda: {"type": "array", "items": {"type": "integer"}, "minItems": many, "maxItems": many},
        lambda: nested_schema(chance.choice((20, 100, 400, 900))),
        lambda: {"anyOf": [{"const": index} for index in range(min(many, 9000))]},
        lambda: {"$ref": "#"},
        lambda: {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"},
        lambda: {"allOf": [{"anyOf": [{"required": [f"p{i}"]}, {"required": [f"q{i}"]}]} for i in range(14)]},
        lambda: {"type": "integer", "minimum": chance.choice((-(10**20), 3, 1e300)), "maximum": 10**20},
        lambda: {"type": chance.choice(("strng", 5, ["string", "null"], [])), "uniqueItems": True, "if": {}},
        lambda: nested(chance),
    )
    return chance.choice(makers)()


def nested_schema(depth: int) -> Any:
    """Objects within objects."""
    return Written('{"type":"object","properties":{"a":' * depth + '{"type":"string"}' + "}}" * depth)


def regex(chance: random.Random) -> str:
    """A regular expression that is large or that explodes."""
    return chance.choice(
        (
            "(((a{1000}){1000}){1000})",
            "(.*[ab].{200}x){3}",
            "(a|b|ab)*c" * chance.randint(1, 2000),
            "(" * 900 + "a" + ")" * 900,
            "[" + "".join(chr(0x4E00 + index) for index in range(5000)) + "]{50}",
            r"\p{L}{500}\w{500}",
            "(?i)" + "straße" * chance.randint(1, 3000),
            "|".join(f"word{index}" for index in range(chance.randint(1, 12_000))),
            "a" * chance.randint(1, 110_000),
            r"(a+)+$",
            r"(?=a)b\1",
            "[z-a]",
            "(unclosed",
            "x{99999999999}",
            ".{0,20000}",
            "&(a*)~b",
            "(?s:.)*" * chance.randint(1, 40),
        )
    )


def grammar(chance: random.Random) -> str:
    """A Lark grammar that is large, recursive or wrong."""
    depth = chance.choice((5, 40, 400))
    return chance.choice(
        (
            'start: T40\nT0: "a"\n' + "\n".join(f"T{index + 1}: T{index} T{index}" for index in range(40)),
            "start: r0\n" + "\n".join(f"r{i}: r{i + 1} r{i + 1} |" for i in range(depth)) + f'\nr{depth}: "a"',
            "start: start start | \"a\"",
            "start: a\na: b\nb: a",
            "start: " + " | ".join(f'"word{index}"' for index in range(chance.randint(1, 8000))),
            "start: /" + regex(chance).replace("/", "") + "/",
            "start: (" * 400 + '"a"' + ")" * 400,
            "begin: \"a\"",
            'start: "a"~1..100000',
            "%import common.WS\nstart: WS",
            "start: <|im_end|>",
            "start: @x\n%json {",
            'start: %json {"type": "integer", "multipleOf": 999983}',
            "\x00",
            text(chance)[:100_500],
        )
    )  # fmt: skip


def tokens(chance: random.Random) -> Any:
    """Token ids, some of them invalid."""
    return [chance.choice((0, 1, 2, 3, 1000, 49151, 49152, 60_000, 2**31 - 1)) if chance.random() < 0.02 else 1000
            for _ in range(min(size(chance) // 5, 400_000))]  # fmt: skip


def biases(chance: random.Random) -> Any:
    """Biases for many tokens, some of them invalid."""
    first = chance.choice((0, 1000, 49_000, 999_999_000))
    return {str(first + index): chance.choice((1, -100, 100)) for index in range(chance.choice((300, 5000, 60_000)))}


def tools(chance: random.Random) -> Any:
    """Many functions, or one with a large schema; OpenAI's and Anthropic's form."""

    def one(index: int) -> Any:
        parameters = schema(chance) if index < 2 and chance.random() < 0.7 else {"type": "object"}
        return chance.choice((
            {"type": "function", "function": {"name": f"f{index}", "parameters": parameters}},
            {"type": "function", "name": f"f{index}", "parameters": parameters},
            {"name": f"f{index}", "input_schema": parameters},
        ))  # fmt: skip

    return [one(index) for index in range(chance.choice((1, 2, 20, 128, 129)))]


def messages(chance: random.Random) -> Any:
    """Many messages, or few with many parts."""
    many = chance.choice((50, 2000, 45_000))
    if chance.random() < 0.2:
        return [{"role": "user", "content": [{"type": "text", "text": "a"}] * many}]
    content = chance.choice(("", "a", sentence(chance)))
    return [{"role": ("user", "assistant")[index % 2], "content": content} for index in range(many)]


def json_schema(chance: random.Random) -> Any:
    """OpenAI's and Anthropic's ways to name a schema."""
    named = {"type": "json_schema", "name": "x", "schema": schema(chance)}
    return chance.choice(
        ({"type": "json_schema", "json_schema": {"name": "x", "schema": named["schema"]}}, {"format": named})
    )


FOR_FIELD: dict[str, Callable[[random.Random], Any]] = {
    "schema": schema,
    "parameters": schema,
    "input_schema": schema,
    "regex": regex,
    "grammar": grammar,
    "response_format": json_schema,
    "output_config": json_schema,
    "text": lambda chance: chance.choice((text, json_schema))(chance),
    "tokens": tokens,
    "logit_bias": biases,
    "tools": tools,
    "messages": messages,
    "stop": lambda chance: [text(chance)[: chance.choice((10, 1000, 1001))] for _ in range(chance.choice((1, 8, 9)))],
    "stop_sequences": lambda chance: ["\n" * chance.choice((1, 1000, 1001))] * chance.choice((1, 8, 9)),
    "prompt": lambda chance: chance.choice((text, tokens))(chance),
    "arguments": lambda chance: "[" * 2000 + "]" * 2000 if chance.random() < 0.5 else text(chance),
    "chat_template_kwargs": lambda chance: {chance.choice(("enable_thinking", "messages", "x")): nested(chance)},
}
"""What is large in the sense of a field of this name; for others any of `ANY`."""
ANY: tuple[Callable[[random.Random], Any], ...] = (text, text, text, nested, number, written_number, messages, tokens)
