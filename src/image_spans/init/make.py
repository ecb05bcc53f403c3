"""From SOURCE to a proposal: found, loaded, asked."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from image_spans import config, discovery, tokenizers
from image_spans.errors import ConfigError
from image_spans.init import probe as probes
from image_spans.init import processor as processors
from image_spans.init import settings as files
from image_spans.init.entry import Proposal
from image_spans.init.propose import chat_of, propose
from image_spans.init.rules import rule_of
from image_spans.init.source import Origin, origin
from image_spans.tokenizers import TokenizerSpec


def proposal(source: str, folder: Path, processor: str | None = None, name: str | None = None) -> Proposal:
    """The entry for what SOURCE names.

    Args:
        source: as on the command line.
        folder: of the YAML.
        processor: ``module:Class`` of a processor to be tested with it.
        name: of the subject; None: from the source.

    Raises:
        ConfigError: it is no tokenizer, or does not load.
        Unavailable: it cannot be had here and now.
    """
    if processor is not None and not discovery.is_reference(processor):
        raise ConfigError(
            f"--processor {processor!r} is not of the form MODULE:CLASS, such as transformers:LlavaProcessor"
        )
    found = origin(source, folder)
    name = name or found.name
    if not config.NAME.fullmatch(name):
        raise ConfigError(f"--name {name!r} cannot name a subject; expected {config.NAME_SHOWN}")
    if processor is not None:
        return _of_processor(found, processor, name)
    loaded = probes.load(found)
    settings, probe = files.read(found.settings()), probes.probe(loaded.tokenizer)
    made = propose(name, loaded.way.written, loaded.way.spec, probe, settings, chat_of(probe))
    if loaded.instead is not None:
        made.notes["tokenizer", "class" if "class" in loaded.way.written else "backend"] = (
            f"a likelier way failed: {' '.join(loaded.instead.split())}"[:300]
        )
    return made


def _of_processor(found: Origin, reference: str, name: str) -> Proposal:
    if found.hub is not None:
        found.hub.fetch()
    folder = found.settings()
    written: Mapping[str, Any] = {
        "factory": processors.FACTORY,
        "source": _folder_source(found, folder),
        "options": {"processor": reference},
        "requires": ["transformers>=5"],
    }
    spec = TokenizerSpec.model_validate(written)
    tokenizer = tokenizers.load(spec, found.folder)
    settings = files.read(folder, reference.partition(":")[2])
    probe = probes.probe(tokenizer)
    chat = chat_of(probe)
    made = propose(name, written, spec, probe, settings, chat)
    processors.describe(made, probe, rule_of(settings), None if chat is None else chat.image)
    return made


def _folder_source(found: Origin, folder: Path) -> Mapping[str, Any]:
    if found.hub is not None:
        return {"hf": found.hub.hf, "revision": found.hub.revision}
    return {"path": Path(os.path.relpath(folder, found.folder.resolve())).as_posix()}
