"""What a tokenizer and a pipeline are asked for the lock: texts, and conversations written by hand."""

from __future__ import annotations

from image_spans.conversation import Conversation, Image, Message, Text

TEXTS = (
    "hello",
    " hello",
    "hello ",
    "a  b",
    "a\tb",
    "\n",
    "a\n\nb",
    " \n a",
    "Hello, WORLD!",
    "3.14159",
    "e\u0301 \ufb01 \u00bd",
    "\u4f60\u597d",
    "\U0001f5bc\ufe0f",
    "\u16a0\u16a2\U00012000",
)
"""Words, blanks and newlines, case, numbers, what normal forms change, and what most vocabularies lack."""

CONTEXTS = {
    "alone": ("", ""),
    "at the start": ("", "ab"),
    "in the middle": ("ab ", " cd"),
    "at the end": ("ab", ""),
    "glued": ("ab", "cd"),
    "after a newline": ("ab\n", "\ncd"),
    "after blanks": ("ab  ", "  cd"),
}
"""Name to the text before and behind a marker."""

_SMALL, _OTHER, _LARGE, _WIDE = Image(64, 64), Image(48, 80), Image(1000, 700), Image(1300, 200)


def _user(*parts: Image | str) -> Message:
    return Message("user", [Text(part) if isinstance(part, str) else part for part in parts])


def _assistant(text: str) -> Message:
    return Message("assistant", [Text(text)])


CONVERSATIONS = {
    "no image": Conversation([_user("Hello, what can you see?")]),
    "image at the start": Conversation([_user(_SMALL, "What is this?")]),
    "image in the middle": Conversation([_user("Look at", _SMALL, "and tell.")]),
    "image at the end": Conversation([_user("What is this?\n", _SMALL)]),
    "image alone": Conversation([_user(_SMALL)]),
    "two images side by side": Conversation([_user(_SMALL, _OTHER, "Compare.")]),
    "large image": Conversation([_user(_LARGE, "\nDescribe.")]),
    "wide image": Conversation([_user(_WIDE, " Read it.")]),
    "two turns": Conversation([_user("Hi", _SMALL), _assistant("A cat."), _user("Sure?"), _assistant("Yes.")]),
    "images in two turns": Conversation([_user(_SMALL, "One?"), _assistant("1"), _user("Two? ", _LARGE)]),
    "system first": Conversation([Message("system", [Text("Be brief.")]), _user(_SMALL, "Who?")]),
    "blanks beside an image": Conversation([_user("  a \n", _SMALL, "\n  b  ")]),
    "text that spells markup": Conversation([_user("type <s>, <image> or [IMG]", _SMALL, "</s><|endoftext|>")]),
    "many scripts": Conversation(
        [_user("\u4f60\u597d e\u0301", _SMALL, "\U0001f5bc\ufe0f \u0645\u0631\u062d\u0628\u0627")]
    ),
}
"""Name to a conversation: the positions, the sizes, and what is hazardous beside an image."""
