"""One thing changed in a copy of a real tokenizer is one headline, with the right words; what follows is folded."""

from __future__ import annotations

import copy
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_spans import config
from image_spans.case import Bench
from image_spans.lock.changes import Diff, diff
from image_spans.lock.record import MADE_OF, record

ROOT = Path(__file__).parents[2]
YAML = """\
version: 1
subjects:
  copy:
    tokenizer: {backend: transformers, class: PreTrainedTokenizerFast, source: {path: tok}}
    pipeline: {encode: rows, returns: [image_bounds, labels]}
    contract:
      bos: exactly_once
      images:
        {grammar: rows, placeholder: "[IMG]", row_break: "[IMG_BREAK]", close: "[IMG_END]", slots: pixtral,
         options: {size: 1540, patch: 14, merge: 2}}
      literals: {policy: plain, tag: "[IMG]"}
      template: {system: ["[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]"], user: ["[INST]", "[/INST]"], assistant: ["", </s>]}
"""
FILE = YAML.replace("{path: tok}", "{path: tok/tokenizer.json}")
RAW = FILE.replace("transformers, class: PreTrainedTokenizerFast,", "tokenizers,").replace(
    "tokenizer.json}}", "tokenizer.json}, special_tokens: {bos: <s>, eos: </s>, unk: <unk>}}"
)
TEMPLATE = "{% for m in messages %}[{{ m.role }}]{{ m.content }}{% endfor %}"


class Copy:
    """A real tokenizer of Mistral's as transformers saves it, of which copies can be changed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        spec = {one.name: one for one in config.read(ROOT / config.DEFAULT_FILE)}["mistral-v7-bos"]
        reason = spec.missing()
        if reason is not None:
            pytest.skip(reason)
        config.load(spec).tokenizer.native.save_pretrained(folder / "saved")
        self.tokenizer = json.loads((folder / "saved" / "tokenizer.json").read_text(encoding="utf-8"))
        self.config = json.loads((folder / "saved" / "tokenizer_config.json").read_text(encoding="utf-8"))
        self.config["tokenizer_class"] = "PreTrainedTokenizerFast"
        self.config.pop("extra_special_tokens")  # they stand in tokenizer.json too; here they would come back
        self.before = self.record("before")

    def record(
        self,
        name: str,
        edit: Callable[[dict[str, Any]], None] = lambda _: None,
        configure: Callable[[dict[str, Any]], Any] = lambda _: None,
        template: str = TEMPLATE,
        yaml: str = YAML,
    ) -> dict[str, Any]:
        place = self._folder / name
        (place / "tok").mkdir(parents=True)
        tokenizer, configuration = copy.deepcopy(self.tokenizer), copy.deepcopy(self.config)
        edit(tokenizer)
        configure(configuration)
        (place / "tok" / "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        (place / "tok" / "tokenizer_config.json").write_text(json.dumps(configuration), encoding="utf-8")
        (place / "tok" / "chat_template.jinja").write_text(template, encoding="utf-8")
        (place / "subjects.yaml").write_text(yaml, encoding="utf-8")
        (spec,) = config.read(place / "subjects.yaml")
        return record(spec, Bench(config.load(spec)))

    def changed(self, name: str, **changes: Any) -> Diff:
        return diff(self.before, self.record(name, **changes))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    return Copy(tmp_path_factory.mktemp("copies"))


def token(tokenizer: dict[str, Any], content: str) -> dict[str, Any]:
    found: dict[str, Any] = next(one for one in tokenizer["added_tokens"] if one["content"] == content)
    return found


def swap_two_markers(tokenizer: dict[str, Any]) -> None:
    one, other = token(tokenizer, "[IMG_BREAK]"), token(tokenizer, "[IMG_END]")
    one["id"], other["id"] = other["id"], one["id"]
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["[IMG_BREAK]"], vocabulary["[IMG_END]"] = one["id"], other["id"]
    tokenizer["added_tokens"].sort(key=lambda one: one["id"])


def swap_marker_and_unused(tokenizer: dict[str, Any]) -> None:
    one, other = token(tokenizer, "[IMG]"), token(tokenizer, "[control_748]")
    one["id"], other["id"] = other["id"], one["id"]
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["[IMG]"], vocabulary["[control_748]"] = one["id"], other["id"]
    tokenizer["added_tokens"].sort(key=lambda one: one["id"])


def no_bos(tokenizer: dict[str, Any]) -> None:
    tokenizer["post_processor"] = None


def no_dummy_prefix(tokenizer: dict[str, Any]) -> None:
    tokenizer["pre_tokenizer"]["prepend_scheme"] = "never"


def rename(tokenizer: dict[str, Any]) -> None:
    token(tokenizer, "[TOOL_CALLS]")["content"] = "[CALLS]"
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["[CALLS]"] = vocabulary.pop("[TOOL_CALLS]")


def drop_marker(tokenizer: dict[str, Any]) -> None:
    tokenizer["added_tokens"].remove(token(tokenizer, "[IMG_BREAK]"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["unused"] = vocabulary.pop("[IMG_BREAK]")


def eat_blanks(tokenizer: dict[str, Any]) -> None:
    token(tokenizer, "[IMG]").update(lstrip=True, rstrip=True)


def compose(tokenizer: dict[str, Any]) -> None:
    tokenizer["normalizer"] = {"type": "NFKC"}


@pytest.mark.parametrize(
    ("changes", "headline", "folded"),
    [
        ({"edit": swap_two_markers}, "[IMG_END] is 14, was 15; [IMG_BREAK] is 15, was 14", "conversations: two turns"),
        ({"edit": no_bos}, "the plain call puts nothing in front of a text, before <s> (1)", "of an empty text"),
        ({"edit": no_dummy_prefix}, "text no longer gets a blank in front (dummy prefix)", "texts: hello:"),
        ({"edit": rename}, "[TOOL_CALLS] (5) is now called [CALLS]", "special tokens: [CALLS]"),
        (
            {"edit": drop_marker},
            "[IMG_BREAK] is no token any more (was 14)",
            "conversations: image alone: refused with ValueError, was [<s> ",
        ),
        (
            {"edit": eat_blanks},
            "[IMG], spelled in markup after a newline, after blanks, in the middle, is read differently",
            "after a newline: [\u2581ab [IMG] (10) cd], was [\u2581ab <0x0A> (781) [IMG] <0x0A> cd]",
        ),
        ({"edit": compose}, "1 of 14 texts are split differently", "plain call: normalises: yes, was no"),
        (
            {"template": "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"},
            "the chat template writes other text",
            "chat template: one turn: <user>Hello, was [user]Hello",
        ),
        (
            {"configure": lambda given: given.update(padding_side="left", pad_token="</s>")},
            "the library's pad is </s> (2), was nothing",
            "padded batch: side: left",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and " " not in value else None,
)
def test_one_change_is_one_headline(real: Copy, changes: dict[str, Any], headline: str, folded: str, request) -> None:
    found = real.changed(f"case {abs(hash(request.node.name))}", **changes)
    assert [change.headline for change in found.changes] == [headline]
    assert any(folded in line for line in found.changes[0].details), found.changes[0].details


def test_another_loader_of_the_same_file_is_one_headline(real: Copy) -> None:
    found = diff(real.record("by transformers", yaml=FILE), real.record("by tokenizers", yaml=RAW))
    assert [change.headline for change in found.changes] == ["it is loaded as Tokenizer, before as TokenizersBackend"]
    assert "  returned: encode: Encoding, was list of int" in found.changes[0].details


def test_the_same_again_says_nothing(real: Copy) -> None:
    assert real.changed("same") == Diff()


def test_two_changes_are_two_headlines(real: Copy) -> None:
    def both(tokenizer: dict[str, Any]) -> None:
        swap_two_markers(tokenizer)
        eat_blanks(tokenizer)

    found = real.changed("two", edit=both)
    assert [change.headline.split(",")[0] for change in found.changes] == ["[IMG_END] is 14", "[IMG]"]


def test_another_file_that_behaves_the_same_is_cosmetic(real: Copy) -> None:
    found = real.changed("cosmetic", configure=lambda given: given.update(model_max_length=5))
    assert found.cosmetic
    assert found.made_of == ("the file has other content",)


def test_other_versions_are_cosmetic(real: Copy) -> None:
    newer = copy.deepcopy(real.before)
    newer[MADE_OF]["libraries"]["transformers"] = "99"
    found = diff(real.before, newer)
    assert found.cosmetic
    assert found.made_of[0].startswith("transformers 99, was ")


def test_what_no_cause_explains_is_not_swallowed(real: Copy) -> None:
    """A moved id explains its own consequences, and no word that was lost beside it."""
    moved = real.record("moved", edit=swap_two_markers)
    line = moved["conversations"]["image at the end"]
    assert line["tokens"].startswith("<s> [INST] ")
    line["ids"], line["tokens"] = line["ids"].replace("1 3 ", "1 ", 1), line["tokens"].replace("[INST] ", "", 1)
    found = diff(real.before, moved)
    assert len(found.changes) == 2
    assert found.changes[1].headline.startswith("conversations: image at the end: [<s> ")


def test_a_template_that_cannot_be_rendered_is_told_apart_by_its_digest(
    real: Copy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    one, other = real.record("no jinja"), real.record("no jinja, other template", template="other")
    assert [change.headline for change in diff(one, other).changes] == ["the chat template writes other text"]
