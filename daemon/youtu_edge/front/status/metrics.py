"""The contents of /metrics, in Prometheus' text format; docs/api.md explains every name and a test compares the two."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Counter, Histogram, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from youtu_edge.errors import PoisonRequestError
from youtu_edge.front.inflight.active_requests import ActiveRequest
from youtu_edge.front.supervision.engine_counters import EngineCounters
from youtu_edge.front.supervision.supervisor import State

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)

_ENGINE_COUNTERS = {
    "steps": ("engine_steps", "Engine steps"),
    "sequence_steps": ("engine_sequence_steps", "Sequences summed over steps; divided by steps it is the mean batch"),
    "prefill_tokens": ("engine_prefill_tokens", "Prompt tokens computed"),
    "decode_tokens": ("engine_decode_tokens", "Tokens decoded"),
    "cached_tokens": ("engine_cached_tokens", "Prompt tokens taken from the prefix cache"),
    "run_seconds": ("engine_run_seconds", "Time inside ONNX Runtime"),
    "step_seconds": ("engine_step_seconds", "Time of whole steps"),
    "masks": ("grammar_masks", "Tokens drawn under a grammar"),
    "mask_seconds": ("grammar_mask_seconds", "Time spent on masks of grammars"),
    "preemptions": ("engine_preemptions", "Sequences whose pages were dropped to be recomputed later"),
}
_ENGINE_GAUGES = {
    "running": ("sequences_running", "Sequences in the batch"),
    "waiting": ("sequences_waiting", "Sequences waiting for pages or a place in the batch"),
    "pages_total": ("cache_pages", "Cache pages of the pool"),
    "pages_used": ("cache_pages_used", "Cache pages held by running sequences"),
    "pages_touched": ("cache_pages_in_memory", "Cache pages that take memory"),
    "pages_cached": ("cache_pages_cached", "Cache pages kept for prefix reuse"),
}

DATABASES = ("conversations", "requests", "responses", "response-cache")
"""The databases, as `storage_failed` names them."""


class Metrics:
    """The counters of the front; other parts `register` their collectors."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # untyped in the library
        self._registry = CollectorRegistry()
        self._requests = self._counter("requests", "Finished requests by outcome", ["outcome"])
        self._refused = self._counter("refused", "Requests answered with an error, by its code", ["code"])
        self._prompt_tokens = self._counter("prompt_tokens", "Prompt tokens of finished requests")
        self._completion_tokens = self._counter("completion_tokens", "Tokens produced for finished requests")
        self._cached_tokens = self._counter("cached_tokens", "Prompt tokens of finished requests that the cache supplied")
        self._restarts = self._counter("engine_restarts", "Engine restarts")
        self._lookups = self._counter("response_cache_lookups", "Lookups in the response cache by result", ["result"])
        self._storage_failures = self._counter("storage_failures", "Failed reads and writes, by database", ["database"])
        for database in DATABASES:  # a series that begins with its first failure has no increase
            self._storage_failures.labels(database)
        self._refused_packages = self._counter("package_refusals", "Model versions that failed here and were rolled back")
        self._recycles = self._counter("engine_recycles", "Engines replaced between requests, without a crash")
        self._poisons = self._counter("poison_requests", "Requests that failed because the engine died on them twice")
        self._first_text = self._histogram("time_to_first_text_seconds", "From admission to the first text")
        self._duration = self._histogram("request_duration_seconds", "From admission to the end")

    def request_ended(self, active: ActiveRequest) -> None:
        """Count a request that was admitted and has ended."""
        assert active.ended_at is not None
        self._requests.labels(active.outcome).inc()
        if active.failure == PoisonRequestError.code:
            self._poisons.inc()
        if active.cache != "HIT":  # nothing was computed
            self._prompt_tokens.inc(active.prompt_tokens)
            self._completion_tokens.inc(active.completion_tokens)
            self._cached_tokens.inc(active.cached_tokens)
        self._duration.observe(active.ended_at - active.opened_at)
        if active.first_text_at is not None:
            self._first_text.observe(active.first_text_at - active.opened_at)

    def refused(self, code: str) -> None:
        """Count a request that was answered with an error."""
        self._refused.labels(code).inc()

    def engine_changed(self, state: State) -> None:
        """Count a restart after a death, and a replacement between requests."""
        if state == "restarting":
            self._restarts.inc()
        elif state == "recycling":
            self._recycles.inc()

    def looked_up(self, hit: bool) -> None:
        """Count a lookup in the response cache."""
        self._lookups.labels("hit" if hit else "miss").inc()

    def storage_failed(self, database: str) -> None:
        """Count a failed read or write of a database."""
        self._storage_failures.labels(database).inc()

    def package_refused(self) -> None:
        """Count a model version that failed and was rolled back."""
        self._refused_packages.inc()

    def register(self, collector: Collector) -> None:
        """Add the metrics of another part."""
        self._registry.register(collector)

    def text(self) -> bytes:
        """Everything, in the text format 0.0.4."""
        return generate_latest(self._registry)

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"youtu_edge_{name}", text, labels, registry=self._registry)

    def _histogram(self, name: str, text: str) -> Histogram:
        return Histogram(f"youtu_edge_{name}", text, registry=self._registry, buckets=_SECONDS)


class EngineCollector(Collector):
    """The engine's counters, read at the moment of the scrape."""

    def __init__(self, counters: EngineCounters) -> None:
        self._counters = counters

    def collect(self) -> Iterator[Metric]:
        """One family per figure."""
        total = self._counters.total()
        for field, (name, text) in _ENGINE_COUNTERS.items():
            yield CounterMetricFamily(f"youtu_edge_{name}", text, value=getattr(total, field))
        for field, (name, text) in _ENGINE_GAUGES.items():
            yield GaugeMetricFamily(f"youtu_edge_{name}", text, value=getattr(total, field))
        overhead = self._counters.step_overhead_seconds
        yield GaugeMetricFamily("youtu_edge_mean_batch", "Sequences per step, on average", value=self._counters.mean_batch)
        yield GaugeMetricFamily("youtu_edge_step_overhead_seconds", "Mean step time outside ONNX Runtime", value=overhead)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are fixed."""
        return []


class BoardNameCollector(Collector):
    """The name of this board, to which other figures are joined by their instance."""

    def __init__(self, name: str) -> None:
        self._name = name

    def collect(self) -> Iterator[Metric]:
        """One gauge, always 1."""
        info = GaugeMetricFamily("youtu_edge_board_info", "1, with the name of this board", labels=["board"])
        info.add_metric([self._name], 1)
        yield info

    def describe(self) -> Iterable[Metric]:
        """Nothing: the name of the metric is fixed."""
        return []


class GaugeCollector(Collector):
    """Gauges, read at the moment of the scrape: name -> (help, value)."""

    def __init__(self, gauges: Callable[[], dict[str, tuple[str, float]]]) -> None:
        self._gauges = gauges

    def collect(self) -> Iterator[Metric]:
        """One family per gauge."""
        for name, (text, value) in self._gauges().items():
            yield GaugeMetricFamily(f"youtu_edge_{name}", text, value=value)

    def describe(self) -> Iterable[Metric]:
        """Nothing: names are fixed, and collecting now would be too early."""
        return []
