"""Tests that tell whether a tokenizer and its prompt code still put every image where it belongs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from image_spans.checks import check
    from image_spans.config import load_subject, load_subjects
    from image_spans.contract import Contract
    from image_spans.conversation import Conversation, Image, Message, Text
    from image_spans.engine import verify
    from image_spans.findings import Finding
    from image_spans.guard import Guard, load_guard, verify_batch, verify_ids
    from image_spans.subject import Encoding, Pipeline, Subject, Tokenizer

# Loaded on first use: pytest imports the plugin, and so this module, in every project.
_HOMES = {
    "check": "checks",
    "load_subject": "config",
    "load_subjects": "config",
    "Contract": "contract",
    "Conversation": "conversation",
    "Image": "conversation",
    "Message": "conversation",
    "Text": "conversation",
    "verify": "engine",
    "Finding": "findings",
    "Guard": "guard",
    "load_guard": "guard",
    "verify_batch": "guard",
    "verify_ids": "guard",
    "Encoding": "subject",
    "Pipeline": "subject",
    "Subject": "subject",
    "Tokenizer": "subject",
}

__all__ = [
    "Contract",
    "Conversation",
    "Encoding",
    "Finding",
    "Guard",
    "Image",
    "Message",
    "Pipeline",
    "Subject",
    "Text",
    "Tokenizer",
    "check",
    "load_guard",
    "load_subject",
    "load_subjects",
    "verify",
    "verify_batch",
    "verify_ids",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        from importlib import import_module

        return getattr(import_module(f"image_spans.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
