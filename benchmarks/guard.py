"""What the guard costs beside the encoding of a sample: ``python benchmarks/guard.py [--ids N] [SUBJECT ...]``.

A sample has several images and text between them, and about as many ids as asked for. It is encoded by the subject's
pipeline, and once more as one call of the tokenizer on the whole prompt. The guard gets the ids with labels and an
attention mask as arrays and as lists, then the ids alone as an array, with the sizes of the images and without.
Microseconds per 1,000 ids: the median of a turn, the best of three turns, since other processes disturb.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from image_spans import Conversation, Image, Message, Subject, Text, config
from image_spans.errors import Unavailable
from image_spans.guard import Guard

SIZES = ((640, 480), (1024, 768), (336, 336), (448, 1344))
SENTENCE = "The picture shows two cats on a red sofa beside an open window, and a dog that looks at them. "
LABELLED = 256
"""Ids at the end of a sample that are labelled, at most."""


def sample_of(subject: Subject, length: int) -> tuple[Conversation, list[int]]:
    """A conversation of about as many ids, and its ids."""
    contract = subject.contract
    asker = contract.input.images_in[0]
    answerer = next((role for role in contract.input.roles if role not in ("system", asker)), asker)

    def made(images: int, text: int) -> tuple[Conversation, list[int]]:
        messages = []
        for size in SIZES[:images]:
            messages.append(Message(asker, [Image(*size), Text(SENTENCE * text)]))
            messages.append(Message(answerer, [Text(SENTENCE * text)]))
        conversation = Conversation(messages)
        return conversation, subject.encode(conversation).ids

    images, text = 1, 1
    while images < len(SIZES) and len(made(images + 1, text)[1]) <= length:
        images += 1
    while len(made(images, text + 1)[1]) <= length:
        text += 1
    return made(images, text)


def microseconds(call: Callable[[], Any], rounds: int) -> float:
    """What a call takes: the median of a turn, the best of three turns."""
    turns = []
    for _ in range(3):
        times = []
        for _ in range(rounds):
            start = time.perf_counter_ns()
            call()
            times.append(time.perf_counter_ns() - start)
        turns.append(median(times) / 1000)
    return min(turns)


def row(subject: Subject, length: int, rounds: int) -> list[str]:
    """The cells of a subject."""
    conversation, ids = sample_of(subject, length)
    images = [(image.width, image.height) for image in conversation.images]
    guard = Guard(subject)
    structure = set(subject.marker_ids.values()) | {subject.facts.bos}
    first = len(ids) - LABELLED
    labels = [token_id if at >= first and token_id not in structure else -100 for at, token_id in enumerate(ids)]
    mask = [1] * len(ids)
    arrays = [np.array(values) for values in (ids, labels, mask)]
    text = subject.tokenizer.decode(ids)
    calls: dict[str, Callable[[], Any]] = {
        "arrays": lambda: guard.verify_ids(arrays[0], images, labels=arrays[1], attention_mask=arrays[2]),
        "lists": lambda: guard.verify_ids(ids, images, labels=labels, attention_mask=mask),
        "ids alone": lambda: guard.verify_ids(arrays[0], images),
        "no sizes": lambda: guard.verify_ids(arrays[0]),
        "encode, one call": lambda: subject.tokenizer.encode_markup(text),
        "pipeline": lambda: subject.encode(conversation),
    }
    cost = {name: microseconds(call, rounds) * 1000 / len(ids) for name, call in calls.items()}
    cells = [str(len(ids)), str(len(images)), *(f"{cost[name]:.1f}" for name in calls)]
    return [*cells, *(f"{cost['arrays'] / cost[name]:.1%}" for name in ("encode, one call", "pipeline"))]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--subjects", type=Path, default=Path("tokenizers_under_test.yaml"))
    parser.add_argument("--ids", type=int, default=4096, help="the length of a sample, about")
    parser.add_argument("--rounds", type=int, default=50)
    parser.add_argument("names", nargs="*", help="subjects; all that are there unless given")
    chosen = parser.parse_args()
    columns = (
        "arrays",
        "lists",
        "ids alone",
        "no sizes",
        "encode, one call",
        "pipeline",
        "arrays / encode",
        "arrays / pipeline",
    )
    table = Table("subject", "ids", "images", *columns, title="microseconds per 1,000 ids", box=None)
    for spec in config.read(chosen.subjects):
        if chosen.names and spec.name not in chosen.names:
            continue
        try:
            subject = config.load(spec)
        except Unavailable as error:
            table.add_row(spec.name, f"skipped: {error}")
            continue
        table.add_row(spec.name, *row(subject, chosen.ids, chosen.rounds))
    Console(width=160).print(table)


if __name__ == "__main__":
    main()
