"""Whether a package is fit for use: loads it as the daemon would, and compares its answers with its golden prompts.

The graph runs in another process with bounded memory and time: a package can crash nothing but its own trial.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from youtu_edge.config import Config
from youtu_edge.engine.memory.budget import budget_bytes
from youtu_edge.errors import PackageError
from youtu_edge.golden import GOLDEN, LARGEST_MEAN_REGRET, Choice, Golden, first_difference, mean_regret, read_golden
from youtu_edge.package import Package
from youtu_edge.process_limits import enough_bytes
from youtu_edge.protocol.prompt import ChatMessage
from youtu_edge.protocol.to_engine import SamplingParams, Submit
from youtu_edge.updates.trial_engine import TrialAnswer, TrialEngine, trial_engine

_TRIAL_PAGES = 64
_SIMPLE_TOKENS = 8
_GREEDY = SamplingParams()


def try_package(package: Package, config: Config, report: Callable[[str], None]) -> None:
    """Try a verified package; `report` gets one line per result.

    Raises PackageError when it is not fit for use.
    """
    deadline = time.monotonic() + config.updates.trial_deadline_s
    memory = enough_bytes(budget_bytes(config))
    golden = read_golden(package.root / GOLDEN) if GOLDEN in package.manifest.files else None
    with tempfile.TemporaryFile() as log, trial_engine(memory, deadline, log) as engine:
        ready = engine.start(_trial_config(config, package.root))
        report(f"loaded in {ready.load_seconds:.1f} s")
        _answer_simple_prompts(engine, package)
        if golden is None:
            report(f"no {GOLDEN}: tested only that it answers at all")
        else:
            # A stretched context gives logits that differ from the exporter's.
            is_stretched = config.model.context_length > package.manifest.context_length
            report(_compare(engine, golden, is_exact=package.manifest.reproducible and not is_stretched))


def _trial_config(config: Config, root: Path) -> Config:
    """The daemon's configuration with a small cache: the daemon may be running too, with the whole budget."""
    pages = min(_TRIAL_PAGES, config.model.kv_cache_max_page)
    model = msgspec.structs.replace(config.model, path=str(root), kv_cache_max_page=pages)
    service = msgspec.structs.replace(config.service, log_level="warning")
    # On the processor, which gives the same bits as a GPU: the trial's memory is bounded, and the GPU's is the daemon's.
    engine = msgspec.structs.replace(config.engine, device="cpu")
    return msgspec.structs.replace(config, model=model, service=service, engine=engine)


def _answer_simple_prompts(engine: TrialEngine, package: Package) -> None:
    """A plain prompt, and a chat if the package has a template: both are tokenised, computed and sampled."""
    requests = [Submit("plain", _GREEDY, _SIMPLE_TOKENS, prompt="Hello", ignore_eos=True)]
    if package.has_chat_template:
        messages = [ChatMessage("user", "Hello")]
        requests.append(Submit("chat", _GREEDY, _SIMPLE_TOKENS, messages=messages, ignore_eos=True))
    for answer in engine.answers(requests):
        if len(answer.tokens) != _SIMPLE_TOKENS:
            raise PackageError(f"the package generated {len(answer.tokens)} tokens instead of {_SIMPLE_TOKENS}")


def _compare(engine: TrialEngine, golden: Golden, *, is_exact: bool) -> str:
    requests = [
        Submit(
            f"{number}-{position}",
            msgspec.structs.replace(_GREEDY, logprobs=len(likely) if is_exact else None),
            position + 1,
            prompt=prompt.text,
            ignore_eos=True,
            sent_tokens=prompt.answer[:position],
        )
        for number, prompt in enumerate(golden.prompts)
        for position, likely in enumerate(prompt.likely)
    ]
    answers = iter(engine.answers(requests))
    for number, prompt in enumerate(golden.prompts):
        if (found := engine.prompt_tokens[f"{number}-0"]) != prompt.prompt_tokens:
            raise PackageError(
                f"the package's tokenizer splits {prompt.text!r} into {found} tokens instead of {prompt.prompt_tokens}; "
                "export the model again"
            )
    choices = [[_only(next(answers)) for _ in prompt.answer] for prompt in golden.prompts]
    positions = sum(map(len, choices))
    if is_exact:
        if difference := first_difference(golden.prompts, choices):
            raise _golden_failure(f"{difference}; these must be equal on every processor")
        return f"{positions} of {positions} golden tokens and their log-probabilities are equal"
    regret, worst = mean_regret(golden.prompts, choices)
    expected = [token for prompt in golden.prompts for token in prompt.answer]
    chosen = [choice.token for row in choices for choice in row]
    equal = sum(a == b for a, b in zip(expected, chosen, strict=True))
    figures = f"{equal} of {positions} golden tokens are equal, mean regret {regret:.3f} nats"
    if not regret <= LARGEST_MEAN_REGRET:
        raise _golden_failure(f"{figures}, at most {LARGEST_MEAN_REGRET} is allowed; the largest is {worst}")
    return figures


def _golden_failure(how: str) -> PackageError:
    return PackageError(
        f"the package fails its golden prompts: {how}; "
        "it is not the model that was exported, or this CPU computes it wrongly"
    )


def _only(answer: TrialAnswer) -> Choice:
    if len(answer.tokens) != 1:
        raise PackageError(f"the engine generated {len(answer.tokens)} tokens instead of one")
    return Choice(answer.tokens[0], [other.logprob for reported in answer.logprobs for other in reported.top])
