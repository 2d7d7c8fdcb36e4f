"""System prompts that are prefilled at the start, which shortens the time to the first token.

The tokens with which every conversation with such a system message begins run once, and their pages are pinned.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence as Seq

from youtu_edge.engine.kv_pages import PagePool
from youtu_edge.engine.model.runner import Runner
from youtu_edge.engine.text.prompt import Prompter, PromptError
from youtu_edge.errors import ConfigError
from youtu_edge.log import line

log = logging.getLogger("youtu_edge.engine")


def warm_up(runner: Runner, prompter: Prompter, pool: PagePool, texts: Seq[str], step_tokens: int) -> None:
    """Compute and pin the beginnings of conversations with these system messages, `step_tokens` at a time.

    Raises ConfigError if they take more than half of the cache, or if the model's template rejects system messages.
    """
    for text in texts:
        try:
            tokens = prompter.encode_beginning(text)
        except PromptError as error:
            raise ConfigError(f"model.system_prompt, model.warm_prompts: {error.message}") from None
        num_pages = -(-len(tokens) // pool.page_tokens)
        if pool.num_pinned + num_pages > pool.num_pages // 2:
            raise ConfigError(
                f"model.system_prompt, model.warm_prompts: they take more than half of the {pool.num_pages} cache pages; "
                "shorten them, raise memory.limit or model.kv_cache_max_page, or set model.keep_warm: false"
            )
        pages = [pool.allocate() for _ in range(num_pages)]
        for past in range(0, len(tokens), step_tokens):
            chunk = tokens[past : past + step_tokens]
            runner.run(chunk, [len(chunk)], [past], [pages], [0])
        pool.release(pages, tokens, 0)
        pool.pin(tokens)
    if texts:
        log.info(line("warm_prompts", prompts=len(texts), pages=pool.num_pinned))
