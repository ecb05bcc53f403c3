"""The guard where samples are made: in the collator of a torch DataLoader, and in ``datasets.map``."""

from __future__ import annotations

import pytest

from image_spans import Conversation, Finding, Guard, Image, Message, Text
from support import ToyTokenizer, subject

PAD = 1000 + ord("_")
HEALTHY = subject(pad="_", template={"user": ["U:", "\n"], "assistant": ["A:", "\n"]})
BOS = subject(
    "placeholder_run",
    tokenizer=ToyTokenizer(bos=True),
    bos="exactly_once",
    slices=None,
    pad="_",
    images={"grammar": "run", "placeholder": "<pad>", "slots": 4},
)
SLICED, SMALL = Image(449, 449), Image(1, 1)


def talk(*parts, answer="cats"):
    return Conversation(
        [
            Message("user", [Text(part) if isinstance(part, str) else part for part in parts]),
            Message("assistant", [Text(answer)]),
        ]
    )


TALKS = [talk(SLICED, "what?"), talk("and ", SMALL, "?"), talk("hello"), talk(SMALL, "or", SLICED)]


def row_of(conversation, subject=HEALTHY, change=lambda ids: ids):
    """A sample as data files hold it once it is encoded: ids, labels, and the sizes of the pictures."""
    encoding = subject.encode(conversation)
    ids = change(list(encoding.ids))
    labels = [-100] * (len(ids) - 3) + ids[-3:]
    return {"input_ids": ids, "labels": labels, "sizes": [[image.width, image.height] for image in conversation.images]}


def first_id_gone(ids):
    """B01: the open of the image with which a message begins, taken for BOS."""
    del ids[ids.index(1)]
    return ids


def bos_in_front_of_each_piece(ids):
    """B64: what follows the image brings a BOS of its own."""
    at = len(ids) - ids[::-1].index(7)
    return [*ids[:at], 0, *ids[at:]]


def bos_twice(ids):
    """B66: the template spells it and the tokenizer adds it."""
    return [0, *ids]


def typed_open(ids):
    """B05: the prompt spells the marker too."""
    at = ids.index(1000 + ord("?"))
    return [*ids[:at], 1, *ids[at:]]


def typed_placeholder(ids):
    """B27: the question holds the placeholder."""
    at = ids.index(1000 + ord("?"))
    return [*ids[:at], 7, *ids[at:]]


def tag_left(ids):
    """B04: the tag, which is the open marker itself, was not replaced."""
    at = ids.index(1)
    return [*ids[: at + 1], *ids[ids.index(1000 + ord("w")) :]]


def no_marker(ids):
    """B13: an image is attached, and the prompt has no placeholder."""
    return [token_id for token_id in ids if token_id >= 1000]


def block_twice(ids):
    """B35: the image is put in although it is there already."""
    start, end = ids.index(1), ids.index(1000 + ord("w"))
    return [*ids[:start], *ids[start:end], *ids[start:end], *ids[end:]]


def cut_right(ids):
    """B06: the last open survives the limit, its close does not."""
    return ids[: ids.index(2) + 4]


def cut_left(ids):
    """B86: the end is kept, and the image stands at the beginning."""
    return ids[-6:]


# The change, on which subject, and the cause; where the ids leave two, both are said.
HISTORY = [
    (first_id_gone, HEALTHY, "spans.matched/first-id-removed-or-marker-lost"),
    (bos_in_front_of_each_piece, BOS, "bos.placement/bos-per-segment"),
    (bos_twice, BOS, "bos.placement/bos-doubled"),
    (typed_open, HEALTHY, "spans.matched/literal-became-structure"),
    (typed_placeholder, HEALTHY, "spans.slots/literal-became-structure-or-stray-placeholder"),
    (tag_left, HEALTHY, "spans.matched/tag-left-in-text"),
    (no_marker, HEALTHY, "spans.expected/images-dropped"),
    (block_twice, HEALTHY, "spans.expected/image-doubled"),
    (cut_right, HEALTHY, "spans.matched/cut-at-limit"),
    (cut_left, HEALTHY, "spans.expected/cut-at-limit"),
]
BY_NAME = pytest.mark.parametrize(
    ("change", "subject", "fingerprint"), HISTORY, ids=[change.__name__ for change, _, _ in HISTORY]
)


class Collate:
    """A collator as everybody writes one: padded on the right, checked before it is given away."""

    def __init__(self, guard):
        self.guard = guard

    def __call__(self, rows):
        import torch

        longest = max(len(row["input_ids"]) for row in rows)

        def stacked(key, fill):
            return torch.tensor([row[key] + [fill] * (longest - len(row[key])) for row in rows])

        mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in rows])
        batch = {"input_ids": stacked("input_ids", PAD), "labels": stacked("labels", -100), "attention_mask": mask}
        self.guard.verify_batch(batch, images=[row["sizes"] for row in rows])
        return batch


def guard_of(subject):
    """Of contract and tokenizer alone, as training code has them."""
    return Guard(subject.contract, subject.tokenizer)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_collator_of_torch_lets_healthy_samples_through(workers):
    data = pytest.importorskip("torch.utils.data")
    rows = [row_of(conversation) for conversation in TALKS * 3]
    loader = data.DataLoader(rows, batch_size=4, collate_fn=Collate(guard_of(HEALTHY)), num_workers=workers)
    assert sum(len(batch["input_ids"]) for batch in loader) == len(rows)


@BY_NAME
def test_a_collator_of_torch_stops_what_the_reports_tell_of(change, subject, fingerprint):
    data = pytest.importorskip("torch.utils.data")
    rows = [row_of(conversation, subject) for conversation in TALKS]
    rows[2] = row_of(TALKS[0], subject, change)
    loader = data.DataLoader(rows, batch_size=4, collate_fn=Collate(guard_of(subject)))
    with pytest.raises(Finding) as raised:
        list(loader)
    assert (raised.value.sample, raised.value.fingerprint) == (2, fingerprint)


def test_a_worker_of_torch_tells_it_in_its_error():
    """torch makes another error of one that takes more than a text; the report is in it."""
    data = pytest.importorskip("torch.utils.data")
    rows = [row_of(TALKS[0], change=cut_right)]
    loader = data.DataLoader(rows, collate_fn=Collate(guard_of(HEALTHY)), num_workers=1)
    with pytest.raises(
        RuntimeError, match=r"(?s)\(sample 0\) breaks spans\.matched.*the right side is cut off in image 0"
    ):
        list(loader)


def test_tensors_one_by_one():
    torch = pytest.importorskip("torch")
    guard, row = guard_of(HEALTHY), row_of(TALKS[0])
    ids, labels = torch.tensor(row["input_ids"]), torch.tensor(row["labels"], requires_grad=False)
    guard.verify_ids(
        ids, torch.tensor(row["sizes"]), labels=labels, attention_mask=torch.ones(len(ids), dtype=torch.bool)
    )
    guard.verify_ids(ids.to(torch.int32), row["sizes"])
    with pytest.raises(TypeError, match="ids is an array of float32; expected ints"):
        guard.verify_ids(ids.float(), row["sizes"])


@pytest.fixture
def datasets(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    return pytest.importorskip("datasets")


@pytest.mark.parametrize("form", [None, "numpy", "torch"])
def test_a_map_of_datasets_lets_healthy_samples_through(datasets, form):
    if form == "torch":
        pytest.importorskip("torch")
    guard = guard_of(HEALTHY)

    def judged(row, index):
        guard.verify_ids(row["input_ids"], row["sizes"], sample=index, labels=row["labels"])

    rows = datasets.Dataset.from_list([row_of(conversation) for conversation in TALKS])
    rows.with_format(form).map(judged, with_indices=True)


@BY_NAME
def test_a_map_of_datasets_stops_what_the_reports_tell_of(datasets, change, subject, fingerprint):
    guard = guard_of(subject)

    def judged(row, index):
        guard.verify_ids(row["input_ids"], row["sizes"], sample=index, labels=row["labels"])

    rows = datasets.Dataset.from_list([row_of(TALKS[0], subject), row_of(TALKS[0], subject, change)])
    with pytest.raises(Finding) as raised:
        rows.map(judged, with_indices=True)
    assert (raised.value.sample, raised.value.fingerprint) == (1, fingerprint)


def test_a_map_of_datasets_in_batches_and_processes(datasets):
    guard = guard_of(HEALTHY)

    def judged(rows):
        guard.verify_batch(rows, images=rows["sizes"])

    rows = [row_of(conversation) for conversation in TALKS]
    datasets.Dataset.from_list(rows).map(judged, batched=True)
    datasets.Dataset.from_list(rows).map(judged, batched=True, num_proc=2)
    rows[3] = row_of(TALKS[0], change=cut_right)
    with pytest.raises(Finding, match="cut off in image 0"):
        datasets.Dataset.from_list(rows).map(judged, batched=True, num_proc=2)


@BY_NAME
def test_the_same_in_a_server_that_gets_lists(change, subject, fingerprint):
    row = row_of(TALKS[0], subject, change)
    with pytest.raises(Finding) as raised:
        guard_of(subject).verify_ids(row["input_ids"], row["sizes"])
    assert raised.value.fingerprint == fingerprint
