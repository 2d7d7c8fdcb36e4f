"""`youtu-edge plan [PACKAGE] [--memory SIZE] [--context N] [--streams N] [--json]`: the memory that a package needs.

The model is opened and measured in this process as an engine does at startup; no port is bound, nothing is written, and the
planned cache is not allocated. Exit code 1: not even the first cell of the table fits the budget.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass

import msgspec

from youtu_edge.allocator import Allocator
from youtu_edge.config import Config
from youtu_edge.config_file import load_config
from youtu_edge.config_values import parse_bytes
from youtu_edge.engine.memory.budget import FRONT_BYTES, TEXT_IDLE_BYTES, TEXT_WORKER_BYTES, budget_bytes
from youtu_edge.engine.memory.requirements import Requirements, measure, step_limits
from youtu_edge.engine.model.opening import open_description, open_model
from youtu_edge.engine.service import load_prompter
from youtu_edge.errors import EXIT_FAILURE, EXIT_OK, ConfigError, one_line
from youtu_edge.package import Manifest
from youtu_edge.vocabulary_size import vocabulary_size

_CONTEXTS = (1024, 2048, 4096, 8192, 16384, 32768, 65536, 131072)
_STREAMS = (1, 2, 4, 8, 16)
_MIB = 1024 * 1024
_RESERVE_BYTES = 8 * _MIB
"""How much more than measured here an engine may need: 2 MiB were seen, and less from one start to the next."""


@dataclass(frozen=True)
class Cell:
    """What `streams` sequences of `context` tokens need together."""

    context: int
    streams: int
    budget: int
    """Bytes: the smallest sufficient memory.limit."""
    pages: int
    """The smallest sufficient model.kv_cache_max_page."""
    fits: bool


@dataclass(frozen=True)
class Plan:
    """A package's requirements, and what fits a budget."""

    path: str
    manifest: Manifest
    config: Config
    needs: Requirements
    budget: int

    def cell(self, context: int, streams: int) -> Cell:
        """One cell of the table."""
        needed = self.needs.budget(self.config, context, streams) + _RESERVE_BYTES
        return Cell(context, streams, needed, self.needs.pages(self.config, context, streams), needed <= self.budget)

    def largest_context(self, streams: int) -> int:
        """Most tokens for each of `streams` sequences: whole pages, or the model's maximum; 0: none fits."""
        page, longest = self.config.model.page_tokens, self.needs.context_length
        fits, fails = 0, -(-longest // page) + 1  # in pages: the former fits, the latter does not
        while fails - fits > 1:
            middle = (fits + fails) // 2
            if self.cell(middle * page, streams).fits:
                fits = middle
            else:
                fails = middle
        return min(fits * page, longest)


def run(
    package: str | None, config_file: str | None, overrides: Sequence[str], *, as_json: bool, **requested: str | None
) -> int:
    """`requested`: memory, context and streams as given. Raises YoutuEdgeError."""
    context, streams = (_count(name, requested[name]) for name in ("context", "streams"))
    config = _configured(load_config(config_file, overrides, os.environ), package, requested["memory"], context, streams)
    plan = make_plan(config)
    contexts = (context,) if context else _shown_contexts(plan.needs.context_length)
    table = [[plan.cell(tokens, count) for count in ((streams,) if streams else _STREAMS)] for tokens in contexts]
    if as_json:
        _print_json(plan, table)
    else:
        _print_text(plan, table)
    return EXIT_OK if table[0][0].fits else EXIT_FAILURE


def make_plan(config: Config) -> Plan:
    """Open and measure the package of `config`; only in a fresh process. Raises YoutuEdgeError."""
    Allocator()
    package = open_description(config)
    tokenizer, _ = load_prompter(package, config.model)
    opened = open_model(config, package)
    needs = measure(opened, step_limits(config, opened), vocabulary_size(tokenizer, package.manifest.vocab_size))
    return Plan(config.model.path, package.manifest, config, needs, budget_bytes(config))


def _count(name: str, text: str | None) -> int:
    """0 if it is not given. Raises ConfigError."""
    if text is None:
        return 0
    if not text.isascii() or not text.isdigit() or not 0 < int(text[:10]) < 2**31 or len(text) > 10:
        raise ConfigError(f"--{name}: {one_line(text)!r} is not a whole number of at least 1")
    return int(text)


def _configured(config: Config, package: str | None, memory: str | None, context: int, streams: int) -> Config:
    """The configuration with the values of the command line."""
    replace = msgspec.structs.replace
    if memory is not None:
        try:
            parse_bytes(memory)
        except ValueError as error:
            raise ConfigError(f"--memory: {error}") from None
        config = replace(config, memory=replace(config.memory, limit=memory))
    model = replace(config.model, path=package or config.model.path, context_length=context or config.model.context_length)
    scheduler = replace(config.scheduler, max_sequences=streams or config.scheduler.max_sequences)
    return replace(config, model=model, scheduler=scheduler)


def _shown_contexts(longest: int) -> tuple[int, ...]:
    """Those of the table that the model can serve, and its longest."""
    return (*(tokens for tokens in _CONTEXTS if tokens < longest), longest)


def _parts(plan: Plan) -> dict[str, tuple[int, str]]:
    """Bytes and purpose of the parts that depend on neither context nor streams."""
    needs = plan.needs
    return {
        "front": (FRONT_BYTES, "HTTP"),
        "text": (TEXT_IDLE_BYTES + TEXT_WORKER_BYTES, "tokenising; 1.5 KiB more for each token of the context"),
        "weights": (needs.weights, "mapped from weights.bin"),
        "runtime": (needs.rest - needs.weights, "libraries, tokenizer, tables"),
        "step": (needs.step, f"activations of {needs.step_tokens} tokens per step"),
        "grammar": (needs.grammar, "the token table for JSON schemas"),
        "reserve": (_RESERVE_BYTES, "variation between starts"),
    }


def _print_text(plan: Plan, table: list[list[Cell]]) -> None:
    manifest, needs = plan.manifest, plan.needs
    print(f"{manifest.name}, {manifest.recipe}, up to {needs.context_length} tokens per stream; MiB = 2^20 bytes")
    for name, (size, what) in _parts(plan).items():
        print(f"  {name:<8} {size / _MIB:>8.1f} MiB  {what}")
    print(f"  {'logits':<8} {needs.row / _MIB:>8.1f} MiB  for each stream")
    per_token = needs.page_bytes / plan.config.model.page_tokens / 1024
    print(f"  {'cache':<8} {per_token:>8.1f} KiB  for each token of each stream, prompt and answer")
    print(f"\nMiB for concurrent streams of this many tokens each; (beyond the budget of {_mib(plan.budget)} MiB)")
    print(f"{'tokens':>18} " + "".join(f"{cell.streams:>9}" for cell in table[0]))
    for row in table:
        print(f"{row[0].context:>18} " + "".join(f"{_shown(cell):>9}" for cell in row))
    print(f"{'largest in budget':>18} " + "".join(f"{plan.largest_context(cell.streams):>9}" for cell in table[0]))
    cells = [cell for row in table for cell in row]
    if len(cells) == 1:
        _print_settings(cells[0], plan.budget)
    elif most := max((cell.pages for cell in cells if cell.fits), default=0):
        cap, page = plan.config.model.kv_cache_max_page, plan.config.model.page_tokens
        if most > cap:
            print(f"more than {cap * page} tokens of cache need model.kv_cache_max_page above {cap}")


def _print_settings(cell: Cell, budget: int) -> None:
    """Print the configuration for one cell."""
    verdict = "fits" if cell.fits else f"does not fit: {_mib(cell.budget - budget)} MiB short"
    print(f"\n{verdict}; settings for it:")
    for section, keys in _settings(cell).items():
        print(f"{section}: {{{', '.join(f'{name}: {value}' for name, value in keys.items())}}}")


def _settings(cell: Cell) -> dict[str, dict[str, int | str]]:
    return {
        "memory": {"limit": f"{_mib(cell.budget)}M"},
        "model": {"context_length": cell.context, "kv_cache_max_page": cell.pages},
        "scheduler": {"max_sequences": cell.streams},
    }


def _print_json(plan: Plan, table: list[list[Cell]]) -> None:
    document = {
        "package": plan.path,
        "model": plan.manifest.name,
        "recipe": plan.manifest.recipe,
        "budget": plan.budget,
        "requirements": asdict(plan.needs) | {name: size for name, (size, _) in _parts(plan).items()},
        "table": [asdict(cell) | {"settings": _settings(cell)} for row in table for cell in row],
        "largest_context": {str(cell.streams): plan.largest_context(cell.streams) for cell in table[0]},
    }
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    print()


def _mib(size: int) -> int:
    """Rounded up, so that it still fits."""
    return -(-size // _MIB)


def _shown(cell: Cell) -> str:
    return str(_mib(cell.budget)) if cell.fits else f"({_mib(cell.budget)})"
