"""What a chat template writes is found out by rendering it, or said not to be a fixed text."""

from __future__ import annotations

from pathlib import Path

import pytest

from image_spans.init import make, render, write
from image_spans.init.chat import observe
from image_spans.init.entry import Todo
from image_spans.training import byte_bpe

pytest.importorskip("jinja2")

CHATML = "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
PARTS = (
    "{{ bos_token }}{% for m in messages %}[{{ m.role }}]{% if m.content is string %}{{ m.content }}{% else %}"
    "{% for p in m.content %}{% if p.type == 'image' %}<img><slot></img>{% else %}{{ p.text }}{% endif %}{% endfor %}"
    "{% endif %};{% endfor %}"
)
NO_SYSTEM = (
    "{% for m in messages %}{% if m.role == 'system' %}{{ raise_exception('no system') }}{% endif %}" + CHATML[27:]
)
DEFAULT_SYSTEM = (
    "{% if messages[0].role != 'system' %}<|im_start|>system\nYou are good.<|im_end|>\n{% endif %}" + CHATML
)
ONLY_PARTS = "{% for m in messages %}{{ m.role }}:{{ m.content[0].text }};{% endfor %}"
LAST_IS_OTHER = "{% for m in messages %}{{ m.content }}{% if loop.last %}<end>{% endif %}\n{% endfor %}"
BEGIN = "<doc>{% for m in messages %}{{ m.role }}:{{ m.content }};{% endfor %}"
TWICE = "{% for m in messages %}{{ m.content }}{{ m.content }}{% endfor %}"
BOS_IN_EACH = "{% for m in messages %}{{ bos_token }}{{ m.role }}:{{ m.content }};{% endfor %}"
SYSTEM_IN_USER = (
    "{% for m in messages %}{% if m.role == 'system' %}{% else %}{{ m.role }}:{% if loop.index == 2 and "
    "messages[0].role == 'system' %}{{ messages[0].content }}\n{% endif %}{{ m.content }};{% endif %}{% endfor %}"
)


@pytest.fixture(scope="module")
def tokenizer():
    return byte_bpe.train(
        bos="<s>", eos="</s>", special_tokens=["<img>", "</img>", "<slot>", "<|im_start|>", "<|im_end|>"]
    )


def seen(tokenizer, template, bos="<s>"):
    return observe(
        lambda messages: tokenizer.apply_chat_template(messages, tokenize=False, chat_template=template), bos
    )


def test_what_stands_round_each_role(tokenizer):
    chat = seen(tokenizer, CHATML)
    assert chat.template == {
        role: [f"<|im_start|>{role}\n", "<|im_end|>\n"] for role in ("system", "user", "assistant")
    }
    assert (chat.begins_with_bos, chat.image, chat.why) == (False, None, "")


def test_bos_in_front_is_told_apart_from_the_text(tokenizer):
    chat = seen(tokenizer, PARTS)
    assert chat.template == {role: [f"[{role}]", ";"] for role in ("system", "user", "assistant")}
    assert chat.begins_with_bos is True
    assert chat.image == "<img><slot></img>"


def test_without_a_bos_there_is_none(tokenizer):
    assert seen(tokenizer, CHATML, bos=None).begins_with_bos is False


def test_text_that_stands_once_in_front(tokenizer):
    assert seen(tokenizer, BEGIN).template == {
        "begin": ["<doc>", ""],
        **{role: [f"{role}:", ";"] for role in ("system", "user", "assistant")},
    }


def test_a_bos_in_each_message_is_no_decision(tokenizer):
    chat = seen(tokenizer, BOS_IN_EACH)
    assert chat.begins_with_bos is None
    assert chat.template["user"] == ["<s>user:", ";"]


def test_a_role_that_is_refused_is_none(tokenizer):
    chat = seen(tokenizer, NO_SYSTEM)
    assert chat.roles == ("user", "assistant")
    assert set(chat.template) == {"user", "assistant"}


def test_a_template_that_takes_text_alone_writes_no_image(tokenizer):
    chat = seen(tokenizer, CHATML.replace("m.content", "m.content + ''"))
    assert chat.image is None
    assert set(chat.template) == {"system", "user", "assistant"}


def test_content_may_have_to_be_parts(tokenizer):
    assert seen(tokenizer, ONLY_PARTS).template["user"] == ["user:", ";"]


UNCLEAR = {
    "a system prompt of its own": (DEFAULT_SYSTEM, "depends on its place|of its own where none is given"),
    "the last message differs": (LAST_IS_OTHER, "depends on those behind it"),
    "a text twice": (TWICE, "the text of message 0 is not there once, in order"),
    "a system prompt inside": (SYSTEM_IN_USER, "depends on its place|of its own"),
    "the fourth message differs": (
        CHATML[:27] + "{% if loop.index == 4 %}!{% endif %}" + CHATML[27:],
        "depends on its place",
    ),
    "it raises": ("{{ raise_exception('never') }}", "rendering one message raised TemplateError: never"),
    "it raises later": (
        "{% if messages|length > 1 %}{{ raise_exception('one') }}{% endif %}a{{ messages[0].content }}",
        "raised",
    ),
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_what_is_no_fixed_text_is_said(tokenizer, case):
    template, why = UNCLEAR[case]
    chat = seen(tokenizer, template)
    assert chat.template is None
    assert any(part in chat.why for part in why.split("|")), chat.why


def proposal(folder, template, **options):
    made = byte_bpe.train(special_tokens=["<img>", "</img>", "<slot>", "<|im_start|>", "<|im_end|>"], **options)
    made.chat_template = template
    made.save_pretrained(folder)
    found = make.proposal(str(folder), Path(folder))
    write.check(render.document(found))
    return found


def test_the_proposal_states_what_was_seen(tmp_path):
    found = proposal(tmp_path, PARTS, bos="<s>", eos="</s>")
    contract = found.entry["contract"]
    assert contract["template"]["user"] == ["[user]", ";"]
    assert contract["bos"] == "exactly_once"
    assert "The chat template writes <img><slot></img> for an image." in found.seen


def test_the_proposal_asks_where_nothing_was_seen(tmp_path):
    template = proposal(tmp_path, DEFAULT_SYSTEM).entry["contract"]["template"]
    assert isinstance(template, Todo)
    assert "(the chat template: " in template


def test_the_proposal_leaves_out_a_role_that_is_refused(tmp_path):
    found = proposal(tmp_path, NO_SYSTEM)
    assert found.entry["contract"]["input"] == {"roles": ["user", "assistant"]}
    assert found.notes["contract", "input"] == "the chat template refuses the role system"
    assert render.document(found).count("# the chat template refuses the role system") == 1


def test_a_template_that_does_not_end_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("image_spans.init.propose._SECONDS", 0.3)
    endless = "{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}"
    contract = proposal(tmp_path, endless).entry["contract"]
    assert isinstance(contract["template"], Todo)
    assert "rendering one message raised TookTooLong" in contract["template"]


def test_the_template_decides_about_a_bos_that_no_call_adds(tmp_path):
    made = byte_bpe.train(special_tokens=["<img>", "</img>", "<slot>", "<s>"])
    made.bos_token = "<s>"
    for template, bos in ((PARTS, "exactly_once"), (CHATML, "none")):
        made.chat_template = template
        made.save_pretrained(tmp_path)
        found = make.proposal(str(tmp_path), tmp_path)
        assert found.entry["contract"]["bos"] == bos
        assert "chat template" in found.notes["contract", "bos"]
