"""Commands and files in the guides exist, are the same in both languages, and agree with the other documents."""

from __future__ import annotations

import re
import shlex

import pytest

from guides.guide import NAMES, PLACES, ROOT, Guide, read_guide
from youtu_edge.__main__ import make_parser
from youtu_edge.config_file import dotted_keys

LANGUAGES = ("", "zh")
EVERY = [(name, language) for name in NAMES for language in LANGUAGES]
_LAYERS, _LATENT_BYTES, _ROTARY_BYTES, _VOCABULARY = 32, 2 * 576, 2 * 4 * 32, 128_256
"""Of Youtu-LLM-2B: a token's row of the cache in one layer, its row of the rotary tables."""


def inline(guide: Guide) -> list[str]:
    """What stands in backquotes."""
    return re.findall(r"`([^`\n]+)`", guide.prose)


def commands(guide: Guide) -> list[list[str]]:
    """Words of every command, and of those in backquotes that are one."""
    lines = guide.commands(*PLACES) + [text for text in inline(guide) if " " in text]
    parts = [part.strip() for line in lines for part in re.split(r"\||&&", line.partition(" >/dev/null")[0])]
    return [shlex.split(part) for part in parts if part.isascii() and part.count("'") % 2 == 0]


def arguments_of(guide: Guide, program: str) -> list[list[str]]:
    """Arguments of each call of a program, by whatever path and user."""
    found = []
    for words in commands(guide):
        if words[0] == "sudo":
            words = words[3:] if words[1] == "-u" else words[1:]
        if words[0].rpartition("/")[2] == program:
            found.append(words[1:])
    return found


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_have_the_same_parts(name: str) -> None:
    """Headings of the same rank and number, the same blocks of commands, tables of the same shape."""
    english, chinese = read_guide(name), read_guide(name, "zh")

    def marks(guide: Guide) -> list[list[str]]:
        return [re.findall(r"^#+|^#+ (\d+)\.", heading) + re.findall(r"\d+", heading) for heading in guide.headings]

    assert english.blocks == chinese.blocks
    assert marks(english) == marks(chinese)
    assert [[len(row) for row in table] for table in english.tables] == [
        [len(row) for row in table] for table in chinese.tables
    ]
    assert english.prose.count("\n* ") == chinese.prose.count("\n* ")


@pytest.mark.parametrize("name", NAMES)
def test_both_languages_say_the_same_numbers_and_names(name: str) -> None:
    """Cell by cell in tables, paragraph by paragraph elsewhere: figures, and what is quoted from the program."""

    def facts(text: str) -> list[str]:
        plain = re.sub(r"\]\([^)]*\)", "]", text)  # links lead to documents of the same language
        return sorted(re.findall(r"`[^`]+`|<http[^>]+>|\d[\d.]*\d|\d", plain))

    def rows(guide: Guide) -> list[list[str]]:
        return [facts(cell) for table in guide.tables for row in table for cell in row]

    def paragraphs(guide: Guide) -> list[list[str]]:
        texts = re.split(r"\n\n|\n(?=\* )", guide.prose)
        return [facts(text) for text in texts if text.strip() and not text.lstrip().startswith("|")]

    english, chinese = read_guide(name), read_guide(name, "zh")
    assert rows(english) == rows(chinese)
    assert paragraphs(english)[2:] == paragraphs(chinese)[2:]  # after the title and the links between the guides


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_every_block_says_where_it_is_run(name: str, language: str) -> None:
    """And those of the board and the PC are not mixed up: only the PC has the checkout's scripts."""
    for block in read_guide(name, language).blocks:
        assert block.place in PLACES
        for command in block.commands:
            assert not command.startswith("./scripts/") or block.place in ("pc", "board-checkout"), command
            assert "systemctl" not in command or block.place in ("board-service", "board-hardware"), command
            assert not command.endswith("\\")


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_every_command_of_youtu_edge_is_understood(name: str, language: str) -> None:
    """Subcommands and options, as our own argument parser reads them."""
    calls = arguments_of(read_guide(name, language), "youtu-edge")
    assert len(calls) > 8
    for arguments in calls:
        make_parser().parse_args(arguments)


@pytest.mark.parametrize("name", NAMES)
def test_all_guides_make_the_same_package_from_the_same_place(name: str) -> None:
    """What test_from_the_box runs for one of them."""
    [arguments] = arguments_of(read_guide(name), "youtu-export")
    assert [arguments] == arguments_of(read_guide("generic"), "youtu-export")


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_every_option_of_a_script_is_in_the_script(name: str, language: str) -> None:
    """A file with the executable bit that knows the option's name."""
    found = 0
    for words in commands(read_guide(name, language)):
        for at, word in enumerate(words):
            script = ROOT / word.removeprefix("./")
            if not word.removeprefix("./").startswith("scripts/"):
                continue
            found += 1
            assert script.stat().st_mode & 0o100, word
            for option in words[at + 1 :]:
                assert not option.startswith("-") or option in script.read_text(encoding="utf-8"), f"{word} {option}"
    assert found >= 3


@pytest.mark.parametrize(("name", "language"), EVERY)
def test_every_link_and_every_name_leads_somewhere(name: str, language: str) -> None:
    """Documents, boards, configuration keys, and the events of the log."""
    guide = read_guide(name, language)
    for target in re.findall(r"\]\(([^)#]+)", guide.prose):
        assert (guide.path.parent / target).exists(), target
    known = dotted_keys()
    for key in re.findall(r"`((?:model|memory|service|engine|scheduler)\.\w+)[:`]", guide.prose):
        assert key in known, key
    for board in re.findall(r"boards/([\w-]+)\.yaml|--board ([\w-]+)", guide.text):
        assert (ROOT / f"config/boards/{''.join(board)}.yaml").exists()
    explained = (ROOT / "docs/operations.md").read_text(encoding="utf-8")
    events = [event for row in guide.tables[-1] for event in re.findall(r"`([a-z]+(?:_[a-z]+)+|thermal|board)`", row[1])]
    assert len(events) >= 6
    for event in events:
        assert re.search(rf"(?m)^\|.*`{event}[` ]", explained), f"operations.md explains no {event}"


@pytest.mark.parametrize("name", NAMES)
def test_the_memory_of_a_stream_is_what_the_cache_takes(name: str) -> None:
    """More streams of a row differ by their cache and their logits; more tokens by cache and text; recipes by weights."""
    table = next(table for table in read_guide(name).tables if len(table[0]) == 5 and len(table) == 11)
    figures: dict[str, dict[int, list[int]]] = {}
    recipe = ""
    for first, tokens, *cells in table[2:]:
        recipe = first or recipe
        figures.setdefault(recipe, {})[int(tokens)] = [int(cell) for cell in cells]
    assert list(figures) == ["q4-small", "q4, q4-awq", "q8"]
    per_token = (_LAYERS * _LATENT_BYTES + _ROTARY_BYTES) / 2**20
    for rows in figures.values():
        for tokens, (one, four, eight) in rows.items():
            stream = tokens * per_token + 4 * _VOCABULARY / 2**20
            assert four - one == pytest.approx(3 * stream, abs=1.5)
            assert eight - one == pytest.approx(7 * stream, abs=1.5)
        longer = (8192 - 2048) * (per_token + 1536 / 2**20)
        assert rows[8192][0] - rows[2048][0] == pytest.approx(longer, abs=1.5)
    steps = {row[0] - figures["q4-small"][tokens][0] for tokens, row in figures["q4, q4-awq"].items()}
    assert max(steps) - min(steps) <= 2


@pytest.mark.parametrize("name", ["orin-nx", "rk3588"])
def test_the_predicted_speed_is_that_of_the_prediction(name: str) -> None:
    """Word for word, and it says that it is one."""
    [table] = [table for table in read_guide(name).tables if table[0][0] == "predicted"]
    text = (ROOT / "docs/boards/performance.md").read_text(encoding="utf-8")
    predicted = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if line.startswith("|")
    ]
    header = next(row for row in predicted if row[0] == "predicted")
    [row] = [row for row in predicted if row[0] == table[2][0]]
    columns = [header.index(title) for title in table[0]]
    assert [row[column] for column in columns] == table[2]
