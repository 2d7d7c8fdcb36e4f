"""The table of a comparison, and the same figures as a document."""

from __future__ import annotations

import argparse
import statistics
from typing import Any

from comparison.server import Server


def report(
    servers: list[Server], steps: dict[str, float], bench: dict[str, float], options: argparse.Namespace
) -> dict[str, Any]:
    """Print the table; returns it as a document."""
    names = [server.name for server in servers] + (["llama-bench"] if bench else [])
    ratio = len(servers) > 1
    print(f"\ntokens per second, {options.threads} threads, median of {options.rounds} rounds (lowest .. highest)\n")
    print(f"{'':<14}" + "".join(f"{name:<26}" for name in names) + ("ours/theirs" if ratio else ""))
    document: dict[str, Any] = {
        "threads": options.threads,
        "rounds": options.rounds,
        "prompt_tokens": servers[0].prompt_tokens,
    }
    sizes = {"prefill": servers[0].prompt_tokens, "decode": options.decode, "streams": options.streams}
    for kind, size in sizes.items():
        row, medians = "", []
        for server in servers:
            rates = server.rates[kind]
            medians.append(statistics.median(rates))
            row += f"{f'{medians[-1]:.1f} ({min(rates):.1f} .. {max(rates):.1f})':<26}"
            document.setdefault(server.name, {})[kind] = {"median": medians[-1], "all": rates}
        if bench:
            row += f"{bench[kind]:<26.1f}" if kind in bench else f"{'':<26}"
            document.setdefault("llama-bench", {})[kind] = bench.get(kind)
        for server, median in zip(servers[1:], medians[1:], strict=True):
            document.setdefault("ratio", {}).setdefault(server.name, {})[kind] = medians[0] / median
            row += f"{medians[0] / median:.2f}  "
        print(f"{f'{kind} {size}':<14}{row}")
    row = ""
    for server in servers:
        document[server.name]["rss_mib"] = server.rss_mib
        row += f"{server.rss_mib:<26.1f}"
    print(f"{'front RSS MiB':<14}{row}")
    gain = statistics.median(servers[0].rates["streams"]) / statistics.median(servers[0].rates["decode"])
    document["streams_over_one"] = gain
    print(f"\nour {options.streams} streams together: {gain:.2f}x the tokens per second of one")
    count = steps["youtu_edge_engine_steps_total"]
    spent = steps["youtu_edge_engine_step_seconds_total"] - steps["youtu_edge_engine_run_seconds_total"]
    document["overhead_ms_per_step"] = 1e3 * spent / count
    print(f"our engine outside ONNX Runtime: {1e3 * spent / count:.3f} ms per step at batch 1, over {count:.0f} steps")
    return document
