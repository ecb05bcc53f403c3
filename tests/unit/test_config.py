"""Reading the YAML: what it accepts, and the one line that it says about everything else."""

from __future__ import annotations

import copy
import datetime
import re
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, field_validator

from image_spans import config
from image_spans.config import load, load_subject, load_subjects, read
from image_spans.conversation import Conversation, Image, Message, Text
from image_spans.discovery import names
from image_spans.errors import ConfigError, Unavailable, Undecided
from image_spans.yaml_nodes import Document, Problem

FILE = "tokenizers_under_test.yaml"

VALID = """\
version: 1
subjects:
  toy:
    tokenizer: {factory: "toy_tokenizer:load"}
    pipeline:
      encode: flat_slices
      returns: [image_bounds]
    contract:
      bos: none
      images:
        open: <image>
        close: </image>
        placeholder: <unk>
        slots: 4
      literals: plain
"""

TOKENIZER = '''\
"""A tokenizer of single characters, with a few markers; of no library, so it meets the protocol itself."""

import re

MARKERS = ["<s>", "<unk>", "<image>", "</image>", "<slice>", "</slice>"]
loaded = 0


class Characters:
    library = "toy 1.0 Characters"

    def __init__(self):
        self.native = self

    def encode(self, text):
        return self.encode_text(text)

    def encode_text(self, text):
        return [len(MARKERS) + ord(character) for character in text]

    def encode_markup(self, text):
        pieces = re.split("(" + "|".join(map(re.escape, MARKERS)) + ")", text)
        return [i for p in pieces for i in ([MARKERS.index(p)] if p in MARKERS else self.encode_text(p))]

    def decode(self, ids):
        return "".join(map(self.id_to_token, ids))

    def token_to_id(self, token):
        return MARKERS.index(token) if token in MARKERS else len(MARKERS) + ord(token) if len(token) == 1 else None

    def id_to_token(self, token_id):
        return MARKERS[token_id] if token_id < len(MARKERS) else chr(token_id - len(MARKERS))

    def special_tokens(self):
        return {token: index for index, token in enumerate(MARKERS) if token != "<unk>"}

    def named_ids(self):
        return {"bos": 0, "unk": 1}


def load():
    global loaded
    loaded += 1
    return Characters()


def broken():
    import a_module_that_nobody_has
'''

PIPELINE = '''\
from image_spans.slicing import Block, Layout


class Refused(Exception):
    pass


def encode(tokenizer, conversation, *, greeting="", **options):
    """Right for a conversation of one text."""
    text = "".join(part.text for message in conversation.messages for part in message.parts)
    return tokenizer.encode_text(greeting + text)


def strict(tokenizer, conversation, *, size):
    return []


def only_one(conversation):
    return []


def two(tokenizer, conversation):
    return []


def rows(tokenizer, conversations, *, padding_side):
    return {"input_ids": [[] for _ in conversations]}


def longer(tokenizer, encoding, message, *, greeting=""):
    return [*encoding, greeting]


def two_wide(width, height, number_of_images, *, slots):
    return Layout(Block(1, slots), ((Block(1, slots), Block(1, slots)),))


def not_a_layout(width, height, number_of_images, *, slots):
    return {"slots": slots}


def in_order(conversation):
    return conversation
'''


GRAMMARS = """\
from image_spans.grammars import Fixed, Marker, Slots


def right(layout, contract, number):
    yield Marker("sign")
    yield Slots(layout.slots)
    yield Fixed(".")


def raises(layout, contract, number):
    raise KeyError("no\\nsuch key")


def raises_on_two_lines(layout, contract, number):
    raise ValueError("one\\ntwo")


def writes_text(layout, contract, number):
    return ["<image>", Slots(layout.slots)]


def writes_one_text(layout, contract, number):
    return "<image>"


def writes_nothing(layout, contract, number):
    pass


def undeclared(layout, contract, number):
    return [Marker("sing"), Slots(layout.slots)]


def undeclared_if_wide(layout, contract, number):
    return [Slots(layout.slots), *(Marker("column_5") for row in layout.grid[:1] if len(row) > 4)]


def uneven(layout, contract, number):
    return [Marker("image_open"), Slots(layout.slots)]


def of_two(layout, contract):
    return [Slots(layout.slots)]


def of_class(layout, contract, number):
    return [Slots]


LIST = [Slots(1)]
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory: it holds the modules that the YAML names."""
    (tmp_path / "toy_tokenizer.py").write_text(TOKENIZER, encoding="utf-8")
    (tmp_path / "toy_pipeline.py").write_text(PIPELINE, encoding="utf-8")
    (tmp_path / "toy_grammar.py").write_text(GRAMMARS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setattr(config, "_loaded", {})
    for name in ("toy_tokenizer", "toy_pipeline", "toy_grammar"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    return tmp_path


def write(text: str | bytes, name: str = FILE) -> Path:
    path = Path(name)
    path.write_bytes(text if isinstance(text, bytes) else textwrap.dedent(text).encode())
    return path


def changed(old: str, new: str) -> str:
    """The valid file with one stretch of it replaced."""
    assert VALID.count(old) == 1, old
    return VALID.replace(old, new)


def refusal(text: str | bytes) -> str:
    """What ``read`` says about a file."""
    path = write(text)
    with pytest.raises(ConfigError) as caught:
        read(path)
    line = str(caught.value)
    assert len(line.splitlines()) == 1, line
    assert not re.search(r"pydantic|_type|https?:(?!//huggingface)|Input should", line), line
    assert line.isprintable(), line
    assert len(line) <= 450, line
    return line


TOY = "subjects.toy"
IMAGES = f"{TOY}.contract.images"
BAD_FILES = {
    "empty": ("", f"{FILE}: is empty; expected the keys version and subjects"),
    "only a comment": ("# nothing\n", f"{FILE}: is empty; expected the keys version and subjects"),
    "a list": ("- version: 1\n", f"{FILE}:1: expected a mapping, found a list"),
    "a text": ("hello\n", f"{FILE}:1: expected a mapping, found 'hello'"),
    "no version": ("subjects: {}\n", f"{FILE}:1: the required key 'version' is missing (and 1 more)"),
    "another version": (changed("version: 1", "version: 2"), f"{FILE}:1: version: expected 1, found the number 2"),
    "version as text": (changed("version: 1", "version: '1'"), f"{FILE}:1: version: expected 1, found '1'"),
    "version as truth value": (changed("version: 1", "version: yes"), f"{FILE}:1: version: expected 1, found true"),
    "no subjects": ("version: 1\n", f"{FILE}:1: the required key 'subjects' is missing"),
    "subjects without an entry": (
        "version: 1\nsubjects:\n",
        f"{FILE}:2: subjects: there is no subject; add at least one",
    ),
    "subjects empty": ("version: 1\nsubjects: {}\n", f"{FILE}:2: subjects: there is no subject; add at least one"),
    "subjects as a list": (
        "version: 1\nsubjects:\n- name: toy\n",
        f"{FILE}:2: subjects: expected a mapping, found a list",
    ),
    "subject without a value": (
        "version: 1\nsubjects:\n  toy:\n",
        f"{FILE}:3: subjects.toy: expected a mapping, found nothing",
    ),
    "unknown key of the file": (
        changed("subjects:", "subject:"),
        f"{FILE}:2: unknown key 'subject'; did you mean 'subjects'?",
    ),
    "unknown key of a subject": (
        changed("    contract:", "    contrct:"),
        f"{FILE}:8: {TOY}: unknown key 'contrct'; did you mean 'contract'?",
    ),
    "unknown key": (
        changed("        open:", "        opne:"),
        f"{FILE}:11: {IMAGES}: unknown key 'opne'; did you mean 'open'?",
    ),
    "unknown key like no other": (
        changed("returns: [image_bounds]", "zzz: [max_length]"),
        f"{FILE}:7: {TOY}.pipeline: unknown key 'zzz'; known: accepts, batch, continue, encode, markers, options, "
        "paths, predict, refusals, returns",
    ),
    "missing keys": (
        changed("      bos: none\n", ""),
        f"{FILE}:8: {TOY}.contract: the required key 'bos' is missing",
    ),
    "two missing keys": (
        changed("        placeholder: <unk>\n        slots: 4\n", ""),
        f"{FILE}:10: {IMAGES}: the required key 'placeholder' is missing (and 1 more)",
    ),
    "missing tokenizer": (
        changed('    tokenizer: {factory: "toy_tokenizer:load"}\n', ""),
        f"{FILE}:3: {TOY}: the required key 'tokenizer' is missing",
    ),
    "unknown backend": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformer, source: {path: x}}"),
        f"{FILE}:4: {TOY}.tokenizer.backend: unknown backend 'transformer'; did you mean 'transformers'?",
    ),
    "neither source nor factory": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers}"),
        f"{FILE}:4: {TOY}.tokenizer: source is missing (or factory: module:function)",
    ),
    "unknown source": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers, source: {pakage: x}}"),
        f"{FILE}:4: {TOY}.tokenizer.source: a source has one of path, package, wheel, trained, hf; found 'pakage'; "
        "did you mean 'package'?",
    ),
    "missing key of a source": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers, source: {package: x}}"),
        f"{FILE}:4: {TOY}.tokenizer.source: the required key 'file' is missing",
    ),
    "unknown key of a source": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers, source: {package: x, fil: y}}"),
        f"{FILE}:4: {TOY}.tokenizer.source: unknown key 'fil'; did you mean 'file'?",
    ),
    "number in a source": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers, source: {path: 5}}"),
        f"{FILE}:4: {TOY}.tokenizer.source.path: expected text, found the number 5; put it in quotes",
    ),
    "text for a source": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: transformers, source: here}"),
        f"{FILE}:4: {TOY}.tokenizer.source: expected a mapping, found 'here'",
    ),
    "hash of a source": (
        changed(
            '{factory: "toy_tokenizer:load"}',
            "{backend: transformers, source: {package: x, file: y, sha256: abc}}",
        ),
        f"{FILE}:4: {TOY}.tokenizer.source.sha256: expected text of the form ^[0-9a-f]{{64}}$, found 'abc'",
    ),
    "number among added tokens": (
        changed(
            '{factory: "toy_tokenizer:load"}',
            "{backend: transformers, source: {path: x}, add_special_tokens: [a, 5]}",
        ),
        f"{FILE}:4: {TOY}.tokenizer.add_special_tokens[1]: expected text, found the number 5; put it in quotes",
    ),
    "text as the id of an added token": (
        changed(
            '{factory: "toy_tokenizer:load"}',
            "{backend: tiktoken, source: {path: x}, add_special_tokens: {a: b}}",
        ),
        f"{FILE}:4: {TOY}.tokenizer.add_special_tokens.a: expected a whole number, found 'b'",
    ),
    "neither list nor mapping": (
        changed(
            '{factory: "toy_tokenizer:load"}',
            "{backend: tiktoken, source: {path: x}, add_special_tokens: a}",
        ),
        f"{FILE}:4: {TOY}.tokenizer.add_special_tokens: expected a list or a mapping, found 'a'",
    ),
    "number for a mapping": (
        "version: 1\nsubjects:\n  toy:\n    tokenizer: {factory: 'toy_tokenizer:load'}\n"
        "    pipeline: flat_slices\n    contract: 5\n",
        f"{FILE}:6: {TOY}.contract: expected a mapping, found the number 5",
    ),
    "number for text": (
        changed("open: <image>", "open: 5"),
        f"{FILE}:11: {IMAGES}.open: expected text, found the number 5; put it in quotes",
    ),
    "truth value for text": (
        changed("placeholder: <unk>", "placeholder: yes"),
        f"{FILE}:13: {IMAGES}.placeholder: expected text, found true; put it in quotes",
    ),
    "nothing for text": (
        changed("placeholder: <unk>", "placeholder: # <unk>"),
        f"{FILE}:13: {IMAGES}.placeholder: expected text, found nothing",
    ),
    "list for text": (
        changed("placeholder: <unk>", "placeholder: [IMG]"),
        f"{FILE}:13: {IMAGES}.placeholder: expected text, found a list; put a text that begins with [ in quotes",
    ),
    "mapping for text": (
        changed("open: <image>", "open: {image}"),
        f"{FILE}:11: {IMAGES}.open: expected text, found a mapping; put a text that begins with {{ in quotes",
    ),
    "number in a list": (
        changed("open: <image>", "open: [<image>, 7]"),
        f"{FILE}:11: {IMAGES}.open[1]: expected text, found the number 7; put it in quotes",
    ),
    "empty text": (
        changed("placeholder: <unk>", "placeholder: ''"),
        f"{FILE}:13: {IMAGES}.placeholder: expected text, found an empty one",
    ),
    "empty list": (
        changed("      literals: plain\n", "      slices: {open: [], close: x, rule: minicpm}\n"),
        f"{FILE}:15: {TOY}.contract.slices: slices under flat need open and close",
    ),
    "text for a list": (
        changed("[image_bounds]", "image_bounds"),
        f"{FILE}:7: {TOY}.pipeline.returns: expected a list, found 'image_bounds'",
    ),
    "text for a mapping of options": (
        changed("returns: [image_bounds]", "options: fast"),
        f"{FILE}:7: {TOY}.pipeline.options: expected a mapping, found 'fast'",
    ),
    "neither number nor text": (
        changed("slots: 4", "slots: [4]"),
        f"{FILE}:14: {IMAGES}.slots: expected a whole number or text, found a list; "
        "put a text that begins with [ in quotes",
    ),
    "number that is not whole": (
        changed("slots: 4", "slots: 4.5"),
        f"{FILE}:14: {IMAGES}.slots: expected a whole number or text, found the number 4.5; put it in quotes",
    ),
    "number too small": (changed("slots: 4", "slots: 0"), f"{FILE}:14: {IMAGES}.slots: expected at least 1, found 0"),
    "text for a whole number": (
        changed("literals: plain", "input: {images: {least: few, most: 4}}"),
        f"{FILE}:15: {TOY}.contract.input.images.least: expected a whole number, found 'few'",
    ),
    "range too large": (
        changed("literals: plain", "input: {images: 0..65}"),
        f"{FILE}:15: {TOY}.contract.input.images: expected at most 64, found 65",
    ),
    "range backwards": (
        changed("literals: plain", "input: {images: 4..0}"),
        f"{FILE}:15: {TOY}.contract.input.images: the range is empty: it begins above its end",
    ),
    "not a range": (
        changed("literals: plain", "input: {images: few}"),
        f"{FILE}:15: {TOY}.contract.input.images: 'few' is not a range such as 0..4",
    ),
    "one of several": (
        changed("bos: none", "bos: exactly-once"),
        f"{FILE}:9: {TOY}.contract.bos: expected one of none, exactly_once, after_images, found 'exactly-once'; "
        "did you mean 'exactly_once'?",
    ),
    "one of several, nothing": (
        changed("bos: none", "bos: null"),
        f"{FILE}:9: {TOY}.contract.bos: expected one of none, exactly_once, after_images, found nothing",
    ),
    "one of several, far off": (
        changed("bos: none", "bos: sometimes"),
        f"{FILE}:9: {TOY}.contract.bos: expected one of none, exactly_once, after_images, found 'sometimes'",
    ),
    "short form misspelt": (
        changed("literals: plain", "literals: reject_all"),
        f"{FILE}:15: {TOY}.contract.literals: expected one of plain, reject, interpret, found 'reject_all'; "
        "did you mean 'reject'?",
    ),
    "policy per spelling": (
        changed("literals: plain", "literals: {per: {<image>: keep}}"),
        f"{FILE}:15: {TOY}.contract.literals.per.<image>: expected one of plain, reject, interpret, found 'keep'",
    ),
    "template too short": (
        changed("literals: plain", "template: {user: [a]}"),
        f"{FILE}:15: {TOY}.contract.template.user: the list is too short",
    ),
    "template too long": (
        changed("literals: plain", "template: {user: [a, b, c]}"),
        f"{FILE}:15: {TOY}.contract.template.user: expected at most 2 entries, found 3",
    ),
    "role that is not one of roles": (
        changed("literals: plain", "input: {images_in: [usr]}"),
        f"{FILE}:15: {TOY}.contract.input: images_in names the role 'usr', which is not one of roles; "
        "did you mean 'user'?",
    ),
    "unknown grammar": (
        changed("open: <image>", "grammar: pared"),
        f"{FILE}:11: {IMAGES}.grammar: unknown grammar 'pared'; did you mean 'paired'? (or module:function)",
    ),
    "unknown rule": (
        changed("literals: plain", "slices: {open: <slice>, close: </slice>, rule: minicmp}"),
        f"{FILE}:15: {TOY}.contract.slices.rule: unknown slice rule 'minicmp'; did you mean 'minicpm'? "
        "(or module:function)",
    ),
    "unknown option of a rule": (
        changed("literals: plain", "slices: {open: a, close: b, rule: minicpm, options: {max_slice_num: 9}}"),
        f"{FILE}:15: {TOY}.contract.slices.options: minicpm has no option 'max_slice_num'; "
        "did you mean 'max_slice_nums'?",
    ),
    "option that a rule needs": (
        changed("slots: 4", "slots: fixed"),
        f"{FILE}:10: {IMAGES}.options: fixed needs the option 'slots'",
    ),
    "options without a rule": (
        changed("slots: 4", "slots: 4\n        options: {slots: 4}"),
        f"{FILE}:10: {IMAGES}: options belong to a rule named by slots, but slots is 4",
    ),
    "unknown order": (
        changed("slots: 4", "slots: 4\n        order: as_givn"),
        f"{FILE}:15: {IMAGES}.order: unknown order 'as_givn'; did you mean 'as_given'?",
    ),
    "unknown pipeline": (
        changed("encode: flat_slices", "encode: flat_slcies"),
        f"{FILE}:6: {TOY}.pipeline.encode: unknown pipeline 'flat_slcies'; did you mean 'flat_slices'? "
        "(or module:function)",
    ),
    "unknown option of a pipeline": (
        changed("returns: [image_bounds]", "options: {asembly: whole_text}"),
        f"{FILE}:7: {TOY}.pipeline.options: flat_slices has no option 'asembly'; did you mean 'assembly'?",
    ),
    "option that is not one": (
        changed("returns: [image_bounds]", "options: {contract: mine}"),
        f"{FILE}:7: {TOY}.pipeline.options: flat_slices has no option 'contract'; known: assembly",
    ),
    "unknown returned key": (
        changed("[image_bounds]", "[image_bounds, label]"),
        f"{FILE}:7: {TOY}.pipeline.returns[1]: a pipeline cannot return 'label'; did you mean 'labels'?",
    ),
    "path that is no pipeline": (
        changed("returns: [image_bounds]", "paths: {cached: placeholder_ran}"),
        f"{FILE}:7: {TOY}.pipeline.paths.cached: unknown pipeline 'placeholder_ran'; "
        "did you mean 'placeholder_run'? (or module:function)",
    ),
    "refusal without a module": (
        changed("returns: [image_bounds]", "refusals: [KeyError]"),
        f"{FILE}:7: {TOY}.pipeline.refusals[0]: expected module:function, found 'KeyError'",
    ),
    "unknown way of markers": (
        changed("returns: [image_bounds]", "markers: txt"),
        f"{FILE}:7: {TOY}.pipeline.markers: expected one of text, ids, found 'txt'; did you mean 'text'?",
    ),
    "shared token": (
        changed("placeholder: <unk>", "placeholder: <image>"),
        f"{FILE}:8: {TOY}.contract: '<image>' is both image_open and placeholder; no two roles may share a token",
    ),
    "duplicate key": (
        changed("        slots: 4", "        slots: 4\n        open: <img>"),
        f"{FILE}:15: {IMAGES}: duplicate key 'open'; it is already in line 11",
    ),
    "duplicate subject": (
        VALID + "  toy: {}\n",
        f"{FILE}:16: subjects: duplicate key 'toy'; it is already in line 3",
    ),
    "key that is a number": (
        changed("slots: 4", "slots: 4\n        7: x"),
        f"{FILE}:15: {IMAGES}: the key 7 is not text; put it in quotes",
    ),
    "key that is a truth value": (
        changed("bos: none", "bos: none\n      on: x"),
        f"{FILE}:10: {TOY}.contract: the key on is not text; put it in quotes",
    ),
    "key that is a list": (
        changed("slots: 4", "slots: 4\n        [a, b]: x"),
        f"{FILE}:15: {IMAGES}: expected text as a key, found a list, a mapping or a tag",
    ),
    "subject name with a space": (
        changed("  toy:", "  my toy:"),
        f"{FILE}:3: subjects.'my toy': 'my toy' cannot name a subject; "
        "expected letters, digits, '.', '_' and '-', a letter or digit first",
    ),
    "subject name with a dot in front": (
        changed("  toy:", "  .toy:"),
        f"{FILE}:3: subjects..toy: '.toy' cannot name a subject; "
        "expected letters, digits, '.', '_' and '-', a letter or digit first",
    ),
    "object": (
        changed("slots: 4", "slots: !!python/object/apply:os.system [ls]"),
        f"{FILE}:14: {IMAGES}.slots: the tag !!python/object/apply:os.system is not allowed; "
        "only plain YAML values are read",
    ),
    "name of an object": (
        changed("slots: 4", "slots: !!python/name:os.system"),
        f"{FILE}:14: {IMAGES}.slots: the tag !!python/name:os.system is not allowed; only plain YAML values are read",
    ),
    "object as a key": (
        changed("slots: 4", "slots: 4\n        !!python/name:os.system : x"),
        f"{FILE}:15: {IMAGES}: expected text as a key, found a list, a mapping or a tag",
    ),
    "tag of the whole file": (
        "!subjects {a: 1}\n",
        f"{FILE}:1: the tag !subjects is not allowed; only plain YAML values are read",
    ),
    "custom tag": (
        changed("open: <image>", "open: !env IMAGE"),
        f"{FILE}:11: {IMAGES}.open: the tag !env is not allowed; only plain YAML values are read",
    ),
    "set": (
        changed("slots: 4", "slots: !!set {4}"),
        f"{FILE}:14: {IMAGES}.slots: the tag !!set is not allowed; only plain YAML values are read",
    ),
    "undefined tag handle": (
        changed("open: <image>", "open: !e!x IMAGE"),
        f"{FILE}:11: not valid YAML: the tag !e! is not allowed; put a text that begins with ! in quotes",
    ),
    "whole number that is none": (
        changed("slots: 4", "slots: !!int many"),
        f"{FILE}:14: {IMAGES}.slots: many is not a whole number that can be read; put it in quotes if it is text",
    ),
    "endless number": (
        changed("slots: 4", f"slots: {'9' * 5000}"),
        f"{FILE}:14: {IMAGES}.slots: {'9' * 57}... is not a whole number that can be read; "
        "put it in quotes if it is text",
    ),
    "tab": (
        changed("      bos: none", "\tbos: none"),
        f"{FILE}:9: not valid YAML: a tab; expected spaces for indentation",
    ),
    "text that begins with @": (
        changed("open: <image>", "open: @image"),
        f"{FILE}:11: not valid YAML: a text cannot begin with @ here; put it in quotes",
    ),
    "colon in a value": (
        changed("open: <image>", "open: a: b"),
        f"{FILE}:11: not valid YAML: ':' is not allowed here; put the value in quotes, or add the ':' that is missing "
        "above",
    ),
    "key without a colon": (
        changed("      bos: none", "      bos"),
        f"{FILE}:10: not valid YAML: ':' is not allowed here; put the value in quotes, or add the ':' that is missing "
        "above",
    ),
    "key alone": (
        "version: 1\nsubjects\n",
        f"{FILE}:3: not valid YAML: a ':' is missing after the key before this line",
    ),
    "indentation": (
        changed("    contract:", "   contract:"),
        f"{FILE}:8: not valid YAML: the indentation does not fit the lines above",
    ),
    "bracket left open": (
        "version: 1\nsubjects: [a,\n  b\n",
        f"{FILE}:4: not valid YAML: expected ',' or ']', but got '<stream end>' "
        "(while parsing a flow sequence, begun in line 2)",
    ),
    "quote left open": (
        "version: '1\n",
        f"{FILE}:2: not valid YAML: found unexpected end of stream (while scanning a quoted scalar, begun in line 1)",
    ),
    "escape": (
        changed("open: <image>", 'open: "\\q"'),
        f"{FILE}:11: not valid YAML: found unknown escape character 'q'",
    ),
    "two documents": (VALID + "---\na: 1\n", f"{FILE}:16: not valid YAML: a second document begins; expected one"),
    "alias without an anchor": (
        changed("open: <image>", "open: *image"),
        f"{FILE}:11: not valid YAML: the alias *image has no anchor &image above it",
    ),
    "character that YAML forbids": (
        changed("open: <image>", "open: a\x00b"),
        f"{FILE}:11: not valid YAML: the character U+0000 is not allowed",
    ),
    "not UTF-8": (
        VALID.replace("<image>", "<\xefmage>").encode("latin-1"),
        f"{FILE}:11: is not UTF-8 (byte 0xef); save it as UTF-8",
    ),
    "UTF-16": (VALID.encode("utf-16-le"), f"{FILE}:1: not valid YAML: the character U+0000 is not allowed"),
    "too large": (VALID + "#" * 1_000_001, f"{FILE}: is larger than 1 MB; expected a file that describes subjects"),
    "alias bomb": (
        "a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n"
        + "".join(
            f"{new}: &{new} [{', '.join([f'*{old}'] * 10)}]\n" for old, new in zip("abcdef", "bcdefg", strict=True)
        ),
        f"{FILE}:1: holds more than 20000 values, its aliases written out",
    ),
    "alias of itself": (changed("slots: 4", "slots: &a [*a]"), f"{FILE}:14: is nested too deeply"),
    "merge of itself": (
        changed("      images:", "      images: &a\n        <<: *a"),
        f"{FILE}:10: is nested too deeply",
    ),
    "merge of a text": (
        changed("slots: 4", "slots: 4\n        <<: base"),
        f"{FILE}:15: {IMAGES}: << expects the alias of a mapping",
    ),
    "nested too deeply": ("version: " + "[" * 3000, f"{FILE}: is nested too deeply"),
    "nested deeply": ("version: " + "[" * 60 + "]" * 60, f"{FILE}:1: is nested too deeply"),
    "several, the first by line": (
        changed("version: 1", "version: 3").replace("slots: 4", "slots: none").replace("bos: none", "bos: !x y"),
        f"{FILE}:1: version: expected 1, found the number 3 (and 2 more)",
    ),
}


ONE_SPAN = "slices: {grammar: same_span, rule: llama4"
BAD_FILES |= {
    "rows without a row break": (
        changed("open: <image>", "grammar: rows"),
        f"{FILE}:10: {IMAGES}: the grammar rows needs row_break and close",
    ),
    "rows with an open": (
        changed("close: </image>", "grammar: rows\n        close: </image>\n        row_break: <slice>"),
        f"{FILE}:10: {IMAGES}: the grammar rows has no open (paired has)",
    ),
    "run with brackets": (
        changed("open: <image>", "grammar: run"),
        f"{FILE}:10: {IMAGES}: the grammar run has no close (paired and rows have)",
    ),
    "paired with a row break": (
        changed("slots: 4", "slots: 4\n        row_break: <slice>"),
        f"{FILE}:10: {IMAGES}: the grammar paired has no row_break (rows has)",
    ),
    "paired with markers": (
        changed("slots: 4", "slots: 4\n        markers: {sign: <slice>}"),
        f"{FILE}:10: {IMAGES}: the grammar paired has no markers (only module:function may have)",
    ),
    "brackets of slices in one span": (
        changed("literals: plain", ONE_SPAN + ", open: <slice>}"),
        f"{FILE}:15: {TOY}.contract.slices: slices under same_span have no open (flat and nested have)",
    ),
    "row break in one span that is empty": (
        changed("literals: plain", ONE_SPAN + ", row_break: ''}"),
        f"{FILE}:15: {TOY}.contract.slices: under same_span row_break is a token; leave it out for none",
    ),
    "tile break of slices with brackets": (
        changed("literals: plain", "slices: {open: <slice>, close: </slice>, rule: llama4, tile_break: <s>}"),
        f"{FILE}:15: {TOY}.contract.slices: slices under flat have no tile_break (same_span has)",
    ),
    "overview behind slices with brackets": (
        changed("literals: plain", "slices: {open: <slice>, close: </slice>, rule: llama4, overview: last}"),
        f"{FILE}:15: {TOY}.contract.slices: slices under flat have no overview: last (same_span has)",
    ),
    "overview elsewhere": (
        changed("literals: plain", ONE_SPAN + ", overview: middle}"),
        f"{FILE}:15: {TOY}.contract.slices.overview: expected one of first, last, found 'middle'",
    ),
    "a role that is taken": (
        changed("slots: 4", "slots: 4\n        grammar: a:b\n        markers: {row_break: <slice>}"),
        f"{FILE}:16: {IMAGES}.markers: row_break is a role of its own; choose another name",
    ),
    "a role that is no name": (
        changed("slots: 4", "slots: 4\n        grammar: a:b\n        markers: {tile break: <slice>}"),
        f"{FILE}:16: {IMAGES}.markers: 'tile break' cannot name a role; expected a name such as tile_break",
    ),
    "a token with two roles": (
        changed("slots: 4", "slots: 4\n        grammar: a:b\n        markers: {sign: <image>}"),
        f"{FILE}:8: {TOY}.contract: '<image>' is both image_open and sign; no two roles may share a token",
    ),
    "slices of a grammar of one's own": (
        changed("slots: 4", "slots: 4\n        grammar: a:b\n      " + ONE_SPAN + "}"),
        f"{FILE}:8: {TOY}.contract: slices need the grammar paired, not a:b",
    ),
    "option of the rule of rows": (
        changed(
            "open: <image>\n        close: </image>\n        placeholder: <unk>\n        slots: 4",
            "grammar: rows\n        close: </image>\n        placeholder: <unk>\n        row_break: <slice>\n"
            "        slots: pixtral\n        options: {pach: 14}",
        ),
        f"{FILE}:16: {IMAGES}.options: pixtral has no option 'pach'; did you mean 'patch'?",
    ),
}

BAD_FILES |= {
    "unknown key of the template": (
        changed("literals: plain", "template:\n        begin: [a, b]\n        usr: [a, b]"),
        f"{FILE}:17: {TOY}.contract.template: there is no role 'usr' in input.roles; did you mean 'user'?",
    ),
    "role of the template that is not one of roles": (
        changed("literals: plain", "input: {roles: [user]}\n      template: {tool: [a, b]}"),
        f"{FILE}:16: {TOY}.contract.template: there is no role 'tool' in input.roles; known: begin, end, user",
    ),
    "role without a name": (
        changed("literals: plain", "input: {roles: [user, '']}"),
        f"{FILE}:15: {TOY}.contract.input.roles: expected the name of a role, found ''",
    ),
    "role that is blank": (
        changed("literals: plain", "input: {roles: [user, ' ']}"),
        f"{FILE}:15: {TOY}.contract.input.roles: expected the name of a role, found ' '",
    ),
    "role named twice": (
        changed("literals: plain", "input: {roles: [user, user]}"),
        f"{FILE}:15: {TOY}.contract.input.roles: the role 'user' is named twice",
    ),
    "role of images named twice": (
        changed("literals: plain", "input: {images_in: [user, user]}"),
        f"{FILE}:15: {TOY}.contract.input.images_in: the role 'user' is named twice",
    ),
    "name that is too long to quote": (
        changed("slots: 4", f"slots: {'x' * 10_000}"),
        f"{FILE}:14: {IMAGES}.slots: unknown slice rule '{'x' * 56}... known: "
        f"{', '.join(names('image_spans.slicing'))} (or module:function)",
    ),
    "text that is too long to quote": (
        changed("literals: plain", f"input: {{images: {'a b ' * 5_000}}}"),
        f"{FILE}:15: {TOY}.contract.input.images: {repr('a b ' * 5_000)[:250]} ... "
        f"{(repr(('a b ' * 5_000).strip()) + ' is not a range such as 0..4')[-90:]}",
    ),
    "key that is too long to quote": (
        changed("literals: plain", f"literals: {{per: {{{'x' * 1000}: 5}}}}"),
        f"{FILE}:15: {TOY}.contract.literals.per.{'x' * 57}...: expected one of plain, reject, interpret, "
        "found the number 5",
    ),
    "names that no terminal shows": (
        changed("literals: plain", 'input: {roles: ["\\0", "\\u202E"]}'),
        f"{FILE}:15: {TOY}.contract.input: images_in names the role 'user', which is not one of roles; "
        "known: \\x00, \\u202e",
    ),
    "half of a character": (
        changed("open: <image>", 'open: "a\\uD83D\\uDE00"'),
        f"{FILE}:11: {IMAGES}.open: U+D83D is half of a character; write the character itself, or \\U0001F600 for it",
    ),
    "key with half of a character": (
        changed("slots: 4", 'slots: 4\n        "\\uD83D": x'),
        f"{FILE}:15: {IMAGES}: the key '\\ud83d' holds half of a character",
    ),
    "number that is none, and its aliases": (
        changed("slots: 4", "slots: &many !!int many\n        options: {a: *many, b: *many}"),
        f"{FILE}:14: {IMAGES}.slots: many is not a whole number that can be read; put it in quotes if it is text "
        "(and 2 more)",
    ),
    "file without a name": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: tokenizers, source: {path: x.json}, added_tokens: ''}"),
        f"{FILE}:4: {TOY}.tokenizer.added_tokens: expected text, found an empty one",
    ),
    "branch for a commit": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: tokenizers, source: {hf: a/b, revision: main}}"),
        f"{FILE}:4: {TOY}.tokenizer.source.revision: expected a full commit (40 hex digits), found 'main'; a branch or "
        "a tag moves; find the commit with git ls-remote https://huggingface.co/a/b or at "
        "https://huggingface.co/a/b/commits/main",
    ),
    "no commit": (
        changed('{factory: "toy_tokenizer:load"}', "{backend: tokenizers, source: {hf: a/b}}"),
        f"{FILE}:4: {TOY}.tokenizer.source.hf: expected a full commit (40 hex digits), found nothing; a branch "
        "or a tag moves; find the commit with git ls-remote https://huggingface.co/a/b or at "
        "https://huggingface.co/a/b/commits/main",
    ),
    "truncation that nothing asks for": (
        changed("literals: plain", "truncation: reject"),
        f"{FILE}:3: {TOY}: the contract's truncation reject needs pipeline.accepts: [max_length]",
    ),
    "unknown truncation": (
        changed("literals: plain", "truncation: cut"),
        f"{FILE}:15: {TOY}.contract.truncation: expected one of never_split, reject, drop_images, keep_images, "
        "unsupported, found 'cut'",
    ),
    "batch that is no function": (
        changed("returns: [image_bounds]", "batch: flat_slice"),
        f"{FILE}:7: {TOY}.pipeline.batch: unknown pipeline 'flat_slice'; did you mean 'flat_slices'? (or "
        "module:function)",
    ),
    "limit as an option of a reference pipeline": (
        changed("encode: flat_slices", "encode: flat_slices\n      options: {max_length: 4}"),
        f"{FILE}:7: {TOY}.pipeline.options: flat_slices has no option 'max_length'; known: assembly",
    ),
    "role that is a key of the template": (
        changed("literals: plain", "input: {roles: [user, begin]}"),
        f"{FILE}:15: {TOY}.contract.input.roles: 'begin' cannot name a role: in template it stands for no message",
    ),
}


@pytest.mark.parametrize("case", BAD_FILES)
def test_what_is_wrong_is_said_in_one_line(case: str) -> None:
    text, expected = BAD_FILES[case]
    assert refusal(text) == expected


def test_a_huge_file_is_refused_before_it_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """10 MB of nonsense; that of them, which no machine could hold, is a hole in the file."""
    path = write(b"{[*&!" * 2_000_000)
    for size in (path.stat().st_size, 1 << 40):
        with path.open("r+b") as file:
            file.truncate(size)
        begin = time.perf_counter()
        with pytest.raises(ConfigError) as caught:
            read(path)
        assert time.perf_counter() - begin < 1
        assert str(caught.value) == f"{FILE}: is larger than 1 MB; expected a file that describes subjects"


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    """Written out, its last list would have 10 ** 12 entries."""
    lists = [f"a{number}: &a{number} [{', '.join([f'*a{number - 1}'] * 10)}]" for number in range(1, 13)]
    begin = time.perf_counter()
    line = refusal("\n".join(["a0: &a0 [x]", *lists]))
    assert time.perf_counter() - begin < 5
    assert line.endswith(": holds more than 20000 values, its aliases written out")


def test_a_bomb_of_merged_mappings_is_refused_at_once() -> None:
    lists = [f"a{number}: &a{number} {{<<: [{', '.join([f'*a{number - 1}'] * 10)}]}}" for number in range(1, 13)]
    begin = time.perf_counter()
    line = refusal("\n".join(["a0: &a0 {x: y}", *lists]))
    assert time.perf_counter() - begin < 5
    assert line.endswith(": holds more than 20000 values, its aliases written out")


def test_no_such_file() -> None:
    with pytest.raises(ConfigError) as caught:
        read("subjects.yaml")
    assert str(caught.value) == "subjects.yaml: there is no such file"


def test_a_folder() -> None:
    Path(FILE).mkdir()
    with pytest.raises(ConfigError) as caught:
        read()
    assert str(caught.value) == f"{FILE}: is a folder; expected a YAML file"


def test_a_file_that_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: Path, mode: str) -> None:
        raise PermissionError(13, "Permission denied")

    write(VALID)
    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(ConfigError) as caught:
        read(FILE)
    assert str(caught.value) == f"{FILE}: cannot be read: Permission denied"


def test_a_file_elsewhere_is_called_by_its_path(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("version: 2\n").absolute()
    (folder / "below").mkdir()
    monkeypatch.chdir(folder / "below")
    with pytest.raises(ConfigError) as caught:
        read(path)
    assert str(caught.value).startswith(f"{path}:1: ")


def test_long_values_are_shortened() -> None:
    line = refusal(changed("literals: plain", f"literals: {'x' * 500}"))
    assert line.endswith(f"found '{'x' * 56}...")


def test_errors_of_other_kinds_are_put_in_plain_words_too() -> None:
    class Odd(BaseModel):
        day: int | None = None
        when: datetime.date | None = None

        @field_validator("day")
        @classmethod
        def _day(cls, day: int) -> int:
            raise ValueError(f"there is no day {day}")

    with pytest.raises(ValidationError) as caught:
        Odd.model_validate({"day": 32, "when": [1]})
    document = Document(FILE, {"day": 32, "when": [1]}, {("day",): 1, ("when",): 2})
    document.add_all(caught.value)
    assert document.problems == [
        Problem(1, ("day",), "there is no day 32"),
        Problem(2, ("when",), "cannot be used here: found a list"),
    ]


# What is accepted.


def test_short_forms() -> None:
    write(
        changed(
            "    pipeline:\n      encode: flat_slices\n      returns: [image_bounds]\n", "    pipeline: flat_slices\n"
        )
    )
    (spec,) = read()
    assert (spec.name, spec.line, spec.path, spec.folder) == ("toy", 3, Path(FILE).resolve(), Path.cwd().resolve())
    assert spec.pipeline.encode == "flat_slices"
    assert spec.pipeline.returns == ()
    assert spec.pipeline.markers is None
    assert spec.contract.images.open == ("<image>",)
    assert spec.contract.literals.policy == "plain"
    assert spec.missing() is None


def test_long_forms() -> None:
    write(
        """\
        version: 1
        subjects:
          MiniCPM-V-2.6:
            tokenizer: {factory: toy_tokenizer:load}
            pipeline:
              encode: toy_pipeline:encode
              options: {greeting: hi, deep: {list: [1, 2.5, true, null]}}
              returns: [image_bounds, labels]
              paths: {cached: toy_pipeline:encode}
              refusals: [builtins:KeyError]
              markers: text
            contract:
              input: {roles: [user, assistant], images: 0..4, images_in: [user], empty_text: forbidden}
              bos: after_images
              images:
                grammar: paired
                open: [<s>, <image>]
                close: </image>
                placeholder: <unk>
                slots: 64
                number: {open: <image_id>, close: </image_id>, when: sliced, from: 0}
                before: ""
                after: "\\n"
              slices: {grammar: nested, open: <slice>, close: </slice>, row_break: "\\n", rule: minicpm,
                       options: {max_slice_nums: 4}}
              literals: {policy: plain, tag: <image>, per: {<image>: reject}}
              template: {user: ["<|im_start|>user\\n", "<|im_end|>\\n"]}
        """
    )
    (spec,) = read()
    contract = spec.contract
    assert (contract.input.images.least, contract.input.images.most) == (0, 4)
    assert contract.images.open == ("<s>", "<image>")
    assert contract.images.number is not None
    assert contract.images.number.start == 0
    assert contract.slices is not None
    assert contract.slices.grammar == "nested"
    assert contract.literals.policy_for("<image>") == "reject"
    assert contract.folder == spec.folder
    assert spec.pipeline.options == {"greeting": "hi", "deep": {"list": [1, 2.5, True, None]}}


def test_run_and_a_rule_by_name() -> None:
    write(
        changed("        open: <image>\n        close: </image>\n", "        grammar: run\n").replace(
            "slots: 4", "slots: fixed\n        options: {slots: 3}"
        )
    )
    (spec,) = read()
    assert spec.contract.layout(10, 10, 1).slots == 3


def test_one_number_of_images() -> None:
    write(changed("literals: plain", "input: {images: 2}"))
    assert read()[0].contract.input.images.least == 2


def test_anchors_and_merged_mappings() -> None:
    write(
        VALID.replace("      images:", "      images: &images")
        + """\
  other:
    tokenizer: &tokenizer
      factory: toy_tokenizer:load
    pipeline: flat_slices
    contract:
      bos: none
      images:
        <<: [{open: <a>, slots: 9}, *images]
        placeholder: <b>
"""
    )
    images = read()[1].contract.images
    assert (images.open, images.close, images.placeholder, images.slots) == (("<a>",), ("</image>",), "<b>", 9)


def test_an_error_in_a_merged_mapping_is_in_the_line_where_it_was_written() -> None:
    text = VALID.replace("      images:", "      images: &images").replace("slots: 4", "slots: 0") + textwrap.indent(
        "other:\n  tokenizer: {factory: 'a:b'}\n  pipeline: flat_slices\n  contract:\n    bos: none\n"
        "    images: {<<: *images, slots: 4}\n",
        "  ",
    )
    assert refusal(text) == f"{FILE}:14: {IMAGES}.slots: expected at least 1, found 0"


@pytest.mark.parametrize("text", ["2026-01-31", "=", "0x", "12e3"])
def test_what_yaml_would_make_a_date_or_an_operator_is_text(text: str) -> None:
    write(changed("placeholder: <unk>", f"placeholder: {text}"))
    assert read()[0].contract.images.placeholder == text


def test_a_byte_order_mark_is_no_text() -> None:
    write(VALID.encode("utf-8-sig"))
    assert read()[0].name == "toy"


# Loading.

HELLO = Conversation([Message("user", [Text("hello")])])
PICTURE = Conversation([Message("user", [Text("a"), Image(9, 9)])])


def test_load_subject_with_a_reference_pipeline() -> None:
    write(VALID)
    subject = load_subject("toy")
    encoding = subject.encode(PICTURE)
    assert encoding.ids == [6 + ord("a"), 2, 1, 1, 1, 1, 3]
    assert encoding.image_bounds == [(2, 6)]
    assert subject.returns == {"image_bounds"}
    assert subject.refusals == (ValueError,)
    assert not subject.markers_as_text


def test_load_subject_with_a_pipeline_of_the_folder() -> None:
    write(
        changed(
            "encode: flat_slices\n      returns: [image_bounds]",
            "encode: toy_pipeline:encode\n      options: {greeting: '>', other: 1}\n      markers: text\n"
            "      refusals: [builtins:KeyError, toy_pipeline:Refused]\n      paths: {again: toy_pipeline:encode}",
        )
    )
    subject = load_subject("toy")
    assert subject.tokenizer.decode(subject.encode(HELLO).ids) == ">hello"
    assert subject.paths["again"](HELLO) == subject.pipeline(HELLO)
    assert [cls.__name__ for cls in subject.refusals] == ["ValueError", "KeyError", "Refused"]
    assert subject.markers_as_text


def test_load_subject_with_other_entries() -> None:
    write(
        changed(
            "returns: [image_bounds]",
            "returns: [image_bounds, labels]\n      accepts: [max_length]\n      batch: flat_slices\n"
            "      continue: flat_slices\n      options: {assembly: whole_text}",
        ).replace("literals: plain", "truncation: never_split\n      pad: <s>")
    )
    subject = load_subject("toy")
    assert subject.abilities == {"image_bounds", "labels", "max_length", "batch", "continue"}
    assert len(subject.encode(HELLO, max_length=3).ids) == 3
    assert subject.batch is not None
    assert subject.batch([HELLO, PICTURE], padding_side="left")["input_ids"][0][:2] == [0, 0]
    assert subject.extend is not None
    twice = subject.extend(subject.pipeline(HELLO), HELLO.messages[0])["input_ids"]
    assert twice == subject.encode(HELLO).ids * 2


def test_load_subject_with_entries_of_the_folder() -> None:
    write(
        changed(
            "encode: flat_slices\n      returns: [image_bounds]",
            "encode: toy_pipeline:encode\n      continue: toy_pipeline:longer\n      options: {greeting: x}",
        )
    )
    subject = load_subject("toy")
    assert subject.extend is not None
    assert subject.extend([1], HELLO.messages[0]) == [1, "x"]


def test_the_native_object_is_what_a_pipeline_gets() -> None:
    write(changed("encode: flat_slices\n      returns: [image_bounds]", "encode: toy_pipeline:encode"))
    subject = load_subject("toy")
    assert subject.pipeline.args == (subject.tokenizer.native,)  # type: ignore[attr-defined]


def test_modules_are_looked_up_in_the_folder_of_the_file_first(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(changed("literals: plain", "slices: {open: <slice>, close: </slice>, rule: toy_pipeline:two_wide}"))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "toy_pipeline.py").write_text("two_wide = None\n", encoding="utf-8")
    monkeypatch.chdir(folder / "elsewhere")
    monkeypatch.syspath_prepend(str(folder / "elsewhere"))
    subject = load_subject("toy", folder / FILE)
    assert subject.encode(PICTURE).ids == [6 + ord("a"), *[2, 1, 1, 1, 1, 3], *[4, 1, 1, 1, 1, 5] * 2]


def test_a_subject_is_loaded_once() -> None:
    write(VALID)
    first = load_subject("toy")
    assert load_subject("toy") is first
    assert load_subjects() == [first]
    assert len({*read(), *read()}) == 1
    write("# moved down\n" + VALID)
    assert load_subject("toy") is first
    write(changed("slots: 4", "slots: 5"))
    assert load_subject("toy") is not first
    assert sys.modules["toy_tokenizer"].loaded == 2


def test_unknown_subject() -> None:
    write(VALID)
    with pytest.raises(ConfigError) as caught:
        load_subject("tyo")
    assert str(caught.value) == f"{FILE}: there is no subject 'tyo'; did you mean 'toy'?"


HEAD = f"{FILE}:3: {TOY}"
PIPELINE_OF = "encode: flat_slices\n      returns: [image_bounds]"
BAD_LOADS = {
    "module of the pipeline": (
        changed(PIPELINE_OF, "encode: nowhere:encode"),
        "'nowhere:encode': there is no module 'nowhere' in {folder} or on sys.path",
    ),
    "function of the pipeline": (
        changed(PIPELINE_OF, "encode: toy_pipeline:encod"),
        "'toy_pipeline:encod': toy_pipeline has no 'encod'; did you mean 'encode'?",
    ),
    "path": (
        changed("returns: [image_bounds]", "paths: {cached: toy_pipeline:cached}"),
        "'toy_pipeline:cached': toy_pipeline has no 'cached'",
    ),
    "unknown option": (
        changed(PIPELINE_OF, "encode: toy_pipeline:strict\n      options: {sise: 1}"),
        "pipeline.options: toy_pipeline:strict has no option 'sise'; did you mean 'size'?",
    ),
    "missing option": (
        changed(PIPELINE_OF, "encode: toy_pipeline:strict"),
        "pipeline.options: toy_pipeline:strict needs the option 'size'",
    ),
    "signature": (
        changed(PIPELINE_OF, "encode: toy_pipeline:only_one"),
        "pipeline.options: toy_pipeline:only_one cannot be called with 2 arguments and its options: "
        "too many positional arguments",
    ),
    "no limit": (
        changed(PIPELINE_OF, "encode: toy_pipeline:two\n      accepts: [max_length]"),
        "pipeline.options: toy_pipeline:two does not take max_length=",
    ),
    "no padding side": (
        changed(PIPELINE_OF, "encode: toy_pipeline:two\n      batch: toy_pipeline:two"),
        "pipeline.options: toy_pipeline:two does not take padding_side=",
    ),
    "no message": (
        changed(PIPELINE_OF, "encode: toy_pipeline:two\n      continue: toy_pipeline:two"),
        "pipeline.options: toy_pipeline:two cannot be called with 3 arguments and its options: "
        "too many positional arguments",
    ),
    "option of the batch": (
        changed(
            PIPELINE_OF, "encode: toy_pipeline:encode\n      batch: toy_pipeline:rows\n      options: {greeting: '>'}"
        ),
        "pipeline.options: toy_pipeline:rows has no option 'greeting'",
    ),
    "no height": (
        changed(PIPELINE_OF, "encode: toy_pipeline:two\n      predict: toy_pipeline:only_one"),
        "pipeline.predict: toy_pipeline:only_one cannot be called with 2 arguments and its options: "
        "too many positional arguments",
    ),
    "no function of the batch": (
        changed("returns: [image_bounds]", "batch: toy_pipeline:row"),
        "'toy_pipeline:row': toy_pipeline has no 'row'; did you mean 'rows'?",
    ),
    "rule": (
        changed("slots: 4", "slots: toy_pipeline:nothing"),
        "'toy_pipeline:nothing': toy_pipeline has no 'nothing'",
    ),
    "rule that returns something else": (
        changed("literals: plain", "slices: {open: a, close: b, rule: toy_pipeline:not_a_layout}"),
        "the rule toy_pipeline:not_a_layout returned a mapping, not an image_spans.slicing.Layout",
    ),
    "option of a rule": (
        changed("literals: plain", "slices: {open: a, close: b, rule: minicpm, options: {max_slice_nums: nine}}"),
        "the rule minicpm raised TypeError for an image of 1000x700: ",
    ),
    "order": (
        changed("slots: 4", "slots: 4\n        order: toy_pipeline:on_order"),
        "'toy_pipeline:on_order': toy_pipeline has no 'on_order'; did you mean 'in_order'?",
    ),
    "refusal": (
        changed("returns: [image_bounds]", "refusals: [builtins:len]"),
        "pipeline.refusals: 'builtins:len' is not an exception class",
    ),
    "factory": (
        changed("toy_tokenizer:load", "toy_tokenizer:laod"),
        "'toy_tokenizer:laod': toy_tokenizer has no 'laod'; did you mean 'load'?",
    ),
}


BAD_LOADS["slots that nothing delivers"] = (
    changed("slots: 4", "slots: from_features"),
    "contract.images.slots: from_features needs pipeline.returns: [features]",
)


def own(function: str, more: str = "") -> str:
    """The valid file with a grammar of one's own, and a rule that makes 1 to 12 tiles."""
    return changed("slots: 4", f"slots: internvl\n        grammar: toy_grammar:{function}\n        {more}")


TRAINED = "{backend: tiktoken, source: {trained: tiktoken, options: {vocab: 300}}"
BAD_LOADS |= {
    "number that a library cannot take": (
        changed('{factory: "toy_tokenizer:load"}', TRAINED.replace("300", "-5") + "}"),
        "training tiktoken: vocab is -5; expected 1 to 1000000",
    ),
    "vocabulary that no memory holds": (
        changed('{factory: "toy_tokenizer:load"}', TRAINED.replace("300", "1000000000000") + "}"),
        "training tiktoken: vocab is 1000000000000; expected 1 to 1000000",
    ),
    "rule that would count for ever": (
        changed(
            "literals: plain",
            "slices: {grammar: same_span, rule: llama4, options: {max_patches: 9223372036854775808}}",
        ),
        "the rule llama4 raised ValueError for an image of 1000x700: max_patches is 9223372036854775808; "
        "expected 1 to 1000",
    ),
    "id that a library cannot take": (
        changed('{factory: "toy_tokenizer:load"}', TRAINED + ", add_special_tokens: {<a>: 9223372036854775808}}"),
        "loading it with tiktoken raised OverflowError: Python int too large to convert to C long",
    ),
    "file name that no file can have": (
        changed('{factory: "toy_tokenizer:load"}', f"{{backend: tokenizers, source: {{path: {'x' * 10_000}}}}}"),
        f"there is no '{'x' * 56}... in {{folder}}",
    ),
}
GRAMMAR = "the grammar toy_grammar"
BAD_LOADS |= {
    "module of a grammar": (
        changed("slots: 4", "slots: 4\n        grammar: nowhere:write"),
        "'nowhere:write': there is no module 'nowhere' in {folder} or on sys.path",
    ),
    "function of a grammar": (own("rihgt"), "'toy_grammar:rihgt': toy_grammar has no 'rihgt'; did you mean 'right'?"),
    "grammar that is no function": (own("LIST"), "'toy_grammar:LIST' is a list, not a function"),
    "grammar that raises": (own("raises"), f"{GRAMMAR}:raises raised KeyError for an image of 1000x700: "),
    "grammar that raises more than a line": (
        own("raises_on_two_lines"),
        f"{GRAMMAR}:raises_on_two_lines raised ValueError for an image of 1000x700: one",
    ),
    "grammar that writes text": (
        own("writes_text"),
        f"{GRAMMAR}:writes_text wrote '<image>', not a Marker, Fixed or Slots",
    ),
    "grammar that is one text": (
        own("writes_one_text"),
        f"{GRAMMAR}:writes_one_text wrote '<', not a Marker, Fixed or Slots",
    ),
    "grammar that gives nothing back": (
        own("writes_nothing"),
        f"{GRAMMAR}:writes_nothing raised TypeError for an image of 1000x700: "
        "expected an iterable of Marker, Fixed and Slots, it returned None",
    ),
    "grammar that writes a class": (own("of_class"), f"{GRAMMAR}:of_class wrote "),
    "grammar that takes too little": (
        own("of_two"),
        f"{GRAMMAR}:of_two raised TypeError for an image of 1000x700: of_two() takes 2 positional arguments but 3",
    ),
    "role that nobody declares": (
        own("undeclared", "markers: {sign: <slice>}"),
        f"{GRAMMAR}:undeclared wrote the role 'sing', which no key declares; did you mean 'sign'?; "
        "contract.images.markers names roles of one's own",
    ),
    "role that nobody declares, of panoramas only": (
        own("undeclared_if_wide").replace("close: </image>\n        ", "").replace("open: <image>\n        ", ""),
        f"{GRAMMAR}:undeclared_if_wide wrote the role 'column_5', which no key declares",
    ),
    "open that is never closed": (
        own("uneven"),
        f"{GRAMMAR}:uneven wrote 1 image_open and 0 image_close for an image of 1000x700; "
        "expected as many, or roles of other names",
    ),
    "grammar of features": (
        changed("slots: 4", "slots: from_features\n        grammar: toy_grammar:undeclared").replace(
            "returns: [image_bounds]", "returns: [features]"
        ),
        f"{GRAMMAR}:undeclared wrote the role 'sing', which no key declares",
    ),
    "rows of a rule that slices": (
        changed(
            "open: <image>\n        close: </image>\n        placeholder: <unk>\n        slots: 4",
            "grammar: rows\n        close: </image>\n        placeholder: <unk>\n        row_break: <slice>\n"
            "        slots: internvl",
        ).replace("flat_slices", "rows"),
        "the grammar rows raised ValueError for an image of 1000x700: "
        "the grammar rows writes one block, but the rule cuts the image into slices",
    ),
    "slices without a form": (
        changed("slots: 4", "slots: internvl"),
        "the grammar paired raised ValueError for an image of 1000x700: "
        "the rule cuts the image into slices, but the contract has no slices",
    ),
}


@pytest.mark.parametrize("case", BAD_LOADS)
def test_what_cannot_be_loaded_is_said_in_one_line(case: str, folder: Path) -> None:
    text, expected = BAD_LOADS[case]
    write(text)
    with pytest.raises(ConfigError) as caught:
        load_subject("toy")
    line = str(caught.value)
    assert line.startswith(f"{HEAD}: {expected.format(folder=folder.resolve())}")
    assert "\n" not in line


def test_a_function_without_a_signature_is_taken_as_it_is() -> None:
    write(changed(PIPELINE_OF, "encode: builtins:max\n      options: {key: x}"))
    assert load_subject("toy").pipeline.func is max  # type: ignore[attr-defined]


def test_a_grammar_of_the_folder() -> None:
    text = own("right", "markers: {sign: <slice>}").replace("flat_slices", "toy_pipeline:encode")
    write(text.replace("        open: <image>\n        close: </image>\n", ""))
    subject = load_subject("toy")
    assert subject.contract.markers == {"sign": "<slice>", "placeholder": "<unk>"}
    assert subject.marker_ids == {"sign": 4, "placeholder": 1}


def test_a_grammar_is_asked_for_the_sizes_that_its_rule_takes_only() -> None:
    Path("picky_rule.py").write_text(
        "from image_spans.slicing import Block, Layout\n"
        "def wide(width, height, number_of_images):\n"
        "    if width <= height:\n"
        "        raise ValueError('portrait')\n"
        "    return Layout(Block(1, 4))\n",
        encoding="utf-8",
    )
    write(changed("slots: 4", "slots: picky_rule:wide"))
    assert load_subject("toy").contract.layout(2, 1, 1).slots == 4


def test_reading_imports_no_grammar_of_ones_own() -> None:
    write(own("raises"))
    assert [spec.contract.images.grammar for spec in read()] == ["toy_grammar:raises"]
    assert "toy_grammar" not in sys.modules


def test_a_declared_order_of_the_folder() -> None:
    text = changed("slots: 4", "slots: from_features\n        order: toy_pipeline:in_order")
    write(text.replace("returns: [image_bounds]", "returns: [image_bounds, features]"))
    assert load_subject("toy").contract.images.order == "toy_pipeline:in_order"


def test_unavailable_passes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    def unavailable(spec: Any, folder: Path) -> None:
        raise Unavailable("the package toy is not installed")

    write(VALID)
    (spec,) = read()
    monkeypatch.setattr(config.tokenizers, "load", unavailable)
    with pytest.raises(Unavailable, match=r"^the package toy is not installed$"):
        load(spec)


def test_reading_imports_no_tokenizer_library() -> None:
    write(VALID)
    script = (
        "import sys; from image_spans.config import read; read();"
        "print(sorted({'transformers', 'sentencepiece', 'tiktoken', 'tokenizers', 'mistral_common', 'hypothesis',"
        " 'pytest', 'toy_tokenizer', 'toy_pipeline'} & set(sys.modules)))"
    )
    path = ["", str(Path(config.__file__).parents[1])]
    result = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {path}; {script}"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == "[]"


# Whatever is done to a file, the answer is subjects or one line.

RICH = yaml.safe_load(VALID)
RICH["subjects"]["toy"]["pipeline"] |= {
    "options": {"assembly": "segments"},
    "paths": {"again": "flat_slices"},
    "refusals": ["builtins:KeyError"],
    "markers": "ids",
}
RICH["subjects"]["toy"]["contract"] |= {
    "input": {"roles": ["user", "assistant"], "images": "0..2", "images_in": ["user"]},
    "slices": {"open": "<slice>", "close": ["</slice>"], "rule": "minicpm", "options": {"max_slice_nums": 4}},
    "literals": {"policy": "plain", "per": {"<image>": "reject"}},
    "template": {"user": ["a", "b"]},
}
RICH["subjects"]["toy"]["contract"]["images"]["number"] = {"open": "<n>", "close": "</n>", "from": 1}


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of every value in ``data``."""
    items = data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ()
    return [place for key, value in items for place in [(*path, key), *places(value, (*path, key))]]


VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(
        ["0..4", "module:function", "fixed", "from_features", "minicpm", "run", "interpret", "none", "{key}"]
    ),
    st.dates(),
    st.binary(max_size=3),
    st.lists(st.one_of(st.integers(), st.text(max_size=3)), max_size=3),
    st.dictionaries(st.one_of(st.text(max_size=3), st.integers()), st.text(max_size=3), max_size=2),
)


@st.composite
def mutated(draw: st.DrawFn) -> str:
    """The text of a valid file after a few changes to its data, and perhaps one to its text."""
    data = copy.deepcopy(RICH)
    for _ in range(draw(st.integers(1, 3))):
        path = draw(st.sampled_from(places(data) or [()]))
        if not path:
            break
        parent = data
        for key in path[:-1]:
            parent = parent[key]
        change = draw(st.sampled_from(["drop", "rename", "replace"]))
        if change == "replace" or isinstance(parent, list):
            parent[path[-1]] = draw(VALUES)
        else:
            value = parent.pop(path[-1])
            if change == "rename":
                parent[draw(st.one_of(st.text(max_size=5), st.just(f"{path[-1]}s"), st.integers()))] = value
    text = yaml.safe_dump(data, default_flow_style=draw(st.sampled_from([None, True, False])), allow_unicode=True)
    lines = text.splitlines(keepends=True)
    at = draw(st.integers(0, len(lines) - 1))
    change = draw(st.sampled_from(["nothing"] * 3 + ["twice", "tag", "cut", "insert"]))
    if change == "twice":
        lines.insert(at, lines[at])
    elif change == "tag":
        tag = draw(
            st.sampled_from(["!x ", "!!python/object:os.P ", "!!int ", "!!set ", "!!map ", "!!bool ", "!!float "])
        )
        lines[at] = re.sub(r"([:-]) (?=.)", rf"\1 {tag}", lines[at], count=1)
    elif change == "cut":
        lines[at] = lines[at][draw(st.integers(0, len(lines[at]))) :]
    elif change == "insert":
        column = draw(st.integers(0, len(lines[at])))
        odd = draw(
            st.sampled_from(["\t", ":", "&a ", "*a ", "<<: *a", "{", "[", "'", '"', "---\n", "\u2028", "\x85", "%"])
        )
        lines[at] = lines[at][:column] + odd + lines[at][column:]
    return "".join(lines)


@settings(max_examples=200, deadline=None, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(mutated())
@example("subjects: {a: {pipeline: {returns: {}}}}")
@example("a: &a\n  <<: [*a, *a]\n")
@example("version: 1\nsubjects: {a: !!map x}\n")
@example("version: 1:1:1" + ":1" * 300 + "\n")
@example("version: !!float ''\n")
@example("? {a: 1}\n: 1\n")
@example("")
def test_read_succeeds_or_says_one_line(text: str) -> None:
    path = write(text.encode())
    try:
        specs = read(path)
    except ConfigError as error:
        line = str(error)
    else:
        assert specs
        return
    assert len(line.splitlines()) == 1
    assert line.startswith(FILE)


UNDECIDED = """\
version: 1
subjects:
  toy:
    tokenizer: {factory: "toy_tokenizer:load"}
    pipeline: TODO
    contract:
      bos: none
      images: &images
        open: [<image>, "TODO: the second token"]
        close: </image>
        placeholder: <unk>
        slots: "TODO: how many placeholders one image has"
        number: TODO
      template: {user: ["TODO:", ""]}
      literals: {tag: TODO list}
  other:
    tokenizer: {factory: "toy_tokenizer:load"}
    pipeline: flat_slices
    contract: {bos: nine, images: *images}
"""


def test_everything_that_is_still_to_be_decided_is_one_error(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / FILE).write_text(UNDECIDED)
    with pytest.raises(Undecided) as refused:
        read(FILE)
    assert str(refused.value).splitlines() == [
        f"{FILE}:5: subjects.toy.pipeline is still TODO",
        f"{FILE}:9: subjects.toy.contract.images.open[1] is still TODO: the second token",
        f"{FILE}:12: subjects.toy.contract.images.slots is still TODO: how many placeholders one image has",
        f"{FILE}:13: subjects.toy.contract.images.number is still TODO",
        f"{FILE}:14: subjects.toy.contract.template.user[0] is still TODO",
    ]
    assert refused.value.others == (
        "expected one of none, exactly_once, after_images, found 'nine'; did you mean 'none'?",
    )


def test_what_is_still_to_be_decided_ends_a_run_with_the_code_of_wrong_use(tmp_path):
    (tmp_path / FILE).write_text(UNDECIDED)
    command = [sys.executable, "-m", "pytest", "-p", "image_spans.plugin", "-p", "no:cacheprovider", FILE]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "slots is still TODO: how many placeholders one image has\n" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["TODOS", "TODO later", "my TODO", "todo"])
def test_text_that_merely_begins_so_is_text(tmp_path, text):
    (tmp_path / FILE).write_text(VALID.replace("literals: plain", f"literals: {{tag: {text}}}"))
    assert read(tmp_path / FILE)[0].contract.literals.tag == text
