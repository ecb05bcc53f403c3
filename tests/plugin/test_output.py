"""The table at the end, on every kind of terminal."""

from __future__ import annotations

import re

import pytest
from consumer_repository import NODE, SECOND, YAML

CHOSEN = ("--spans-checks", "contract,spans.matched,text")
COLOUR = re.compile(r"\x1b\[[\d;]*m")


def table(lines: list[str]) -> list[list[str]]:
    start = next(index for index, line in enumerate(lines) if line.startswith("subject"))
    return [re.split(r" {2,}", line.strip()) for line in lines[start : start + 3]]


def test_plain_and_coloured_tables_say_the_same(consumer, run):
    consumer("naive", YAML + SECOND)
    plain = run(*CHOSEN)
    assert "\x1b" not in plain.stdout.str()
    header, mine, other = table(plain.outlines)
    assert header == ["subject", "contract", "spans", "text"]
    assert re.fullmatch(r"mine, ok 2, FAIL \d/7, (FAIL|blocked|ok) .*", ", ".join(mine))
    assert other == ["other", "ok 2", "ok 7", "ok 7"]
    coloured = run(*CHOSEN, "--color=yes")
    assert table([COLOUR.sub("", line) for line in coloured.outlines]) == [header, mine, other]


@pytest.mark.parametrize("encoding", ["cp1252", "ascii"])
def test_a_terminal_without_unicode(consumer, run, monkeypatch, encoding):
    monkeypatch.setenv("PYTHONIOENCODING", encoding)
    consumer("naive", YAML.replace("mine:", f"{'m' * 99}:"))
    node = NODE.replace("mine", "m" * 99)
    shown = "Conversation([Message('user', [Image(1, 1), Text('\u56fe \u2581')])])"
    result = run(node, "--spans-conversation", shown, "--color=yes")
    assert result.ret == 1
    lines = [COLOUR.sub("", line) for line in result.outlines]
    assert r'  Smallest    user: [image 1x1] "\u56fe \u2581"' in lines
    assert any(r"Text('\u56fe \u2581')" in line for line in lines)
    assert any("FAIL 1" in line for line in lines)
    assert "UnicodeEncodeError" not in result.stdout.str() + result.stderr.str()


def did_not_apply(lines: list[str]) -> list[list[str]]:
    start = next((index + 1 for index, line in enumerate(lines) if line.startswith("did not apply")), len(lines))
    rows = lines[start:]
    return [re.split(r" {2,}", line) for line in rows[: next((i for i, row in enumerate(rows) if "  " not in row), 0)]]


OWN_CHECK = """
from image_spans.checks import check


@check("mine.beside", needs=["pipeline.encodes"], positions=["adjacent"])
def beside(case):
    \"\"\"Two images side by side.\"\"\"
"""


def test_what_does_not_apply_is_said_with_the_reason(consumer, run):
    one_image = "template: {}\n      input: {images: 0..1}"
    repository = consumer("right", YAML + SECOND + SECOND.replace("other", "third").replace("template: {}", one_image))
    with (repository.path / "conftest.py").open("a") as conftest:
        conftest.write(OWN_CHECK)
    chosen = ("--spans-checks", "labels,mine,spans.matched")
    plain = run(*chosen)
    assert plain.ret == 0
    labels = ["labels.cover_answers", "3 subjects", "the pipeline does not return labels"]
    mine = ["mine.beside", "third", "a conversation has at most 1 images, and this position takes 2"]
    assert sorted(did_not_apply(plain.outlines)) == [labels, mine]
    names = did_not_apply(run(*chosen, "-v").outlines)
    assert sorted(names) == [[labels[0], "mine, other, third", labels[2]], mine]
    # Of a part of the items nothing is said: what was left out was left out on purpose.
    assert did_not_apply(run(*chosen, "-k", "start").outlines) == []
