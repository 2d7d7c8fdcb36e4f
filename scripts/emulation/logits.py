"""Greedy answers of a package to eight prompts, with the bits of all logits: `logits.py PACKAGE TOKENS` prints JSON.

The same program runs on both processors. All prompts share every step. For each prompt: its ids, those of the answer, and
for each step the first 16 hexadecimal digits of the SHA-256 of its float32 logits.
"""

from __future__ import annotations

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from youtu_edge.engine.model.runner import Runner
from youtu_edge.package import open_package

PROMPTS = (
    "The lighthouse keeper wrote in his diary that",
    "To install the package, run the following command as root:",
    "Question: What is 7 + 5?\nAnswer:",
    "def fibonacci(n):\n    ",
    "人工智能正在改变世界，因为",
    "Es war einmal ein König, der",
    '{"city": "Shenzhen", "days": 3, "weather": [',
    "1, 2, 3, 5, 8, 13, 21,",
)
PAGE_TOKENS = 16


def main() -> None:
    package, tokens = open_package(Path(sys.argv[1])), int(sys.argv[2])
    tokenizer = Tokenizer.from_file(str(package.path("tokenizer.json")))
    prompts = [tokenizer.encode(text, add_special_tokens=False).ids for text in PROMPTS]
    each = -(-(max(len(prompt) for prompt in prompts) + tokens) // PAGE_TOKENS)
    runner = Runner(package, page_tokens=PAGE_TOKENS, threads=2, spin_us=0, context_length=each * PAGE_TOKENS)
    runner.allocate_cache(each * len(prompts))
    pages = [list(range(first, first + each)) for first in range(0, each * len(prompts), each)]
    found = [{"prompt": prompt, "answer": list[int](), "logits": list[str]()} for prompt in prompts]
    new, past = prompts, [0] * len(prompts)
    for _ in range(tokens):
        lengths = [len(ids) for ids in new]
        last = np.cumsum(lengths) - 1
        logits = runner.run([token for ids in new for token in ids], lengths, past, pages, [int(row) for row in last])
        past = [done + count for done, count in zip(past, lengths, strict=True)]
        new = [[int(row.argmax())] for row in logits]
        for one, row, ids in zip(found, logits, new, strict=True):
            one["answer"] += ids
            one["logits"].append(hashlib.sha256(row.tobytes()).hexdigest()[:16])
    print(json.dumps(found))


if __name__ == "__main__":
    main()
