"""What the lock records of transformers' own calls, besides what every library has."""

from __future__ import annotations

import hashlib
import importlib.util
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

_CHAT = [
    {"role": "user", "content": "Hello"},
    {"role": "assistant", "content": " Hi \n"},
    {"role": "user", "content": "Bye"},
]


def behaviour(native: Any) -> Mapping[str, Callable[[], Any]]:
    """Name to a question: a batch that is padded, and the chat template."""
    return {"padded batch": lambda: _padded(native), "chat template": lambda: _template(native)}


def _padded(native: Any) -> dict[str, Any]:
    batch = native(["hello", "a much longer text than hello"], padding=True)
    rows = {key: list(batch[key][0]) for key in sorted(batch.keys())}
    attention = rows.get("attention_mask", [])
    side = "left" if attention and not attention[0] else "right"
    # What stands on the padding; the ids of the text itself are recorded elsewhere.
    fills = {key: row[0 if side == "left" else -1] for key, row in rows.items()}
    return {"side": side, "filled with": fills}


def _template(native: Any) -> Any:
    """Chats of plain text as the template writes them."""
    if not native.chat_template:
        return None
    if importlib.util.find_spec("jinja2") is None:
        digest = hashlib.sha256(repr(native.chat_template).encode()).hexdigest()
        return {"cannot be rendered": "jinja2 is not installed", "sha256": digest}
    chats = {"one turn": _CHAT[:1], "two turns": _CHAT, "system": [{"role": "system", "content": "Be brief."}, *_CHAT]}
    found = {}
    for name, chat in chats.items():
        for prompt in (False, True):
            try:
                text = native.apply_chat_template(chat, tokenize=False, add_generation_prompt=prompt)
            except Exception as error:  # a template may refuse a role
                text = f"raises {type(error).__name__}"
            found[f"{name}, then the answer" if prompt else name] = text
    return found


def reloaded(native: Any) -> Any:
    """What saving it and loading it with its own class gives."""
    with tempfile.TemporaryDirectory() as folder:
        native.save_pretrained(folder)
        return type(native).from_pretrained(folder)
