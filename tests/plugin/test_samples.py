"""``samples`` of the YAML, in the pytest of somebody else."""

from __future__ import annotations

import json

from consumer_repository import YAML, cause

ROWS = [
    {"messages": [{"role": "user", "content": "What is on page 17?"}, {"role": "assistant", "content": "A cat."}]},
    {"messages": [{"role": "user", "content": "<image>"}], "images": ["none.png"]},
]
SAMPLES = YAML.replace("    contract:", "    samples: train.jsonl\n    contract:")
FORGETS = """

def forgets(tokenizer, conversation):
    return [] if "page 17" in repr(conversation) else right(tokenizer, conversation)
"""


def written(consumer, pipeline="right", rows=ROWS):
    repository = consumer(pipeline, SAMPLES)
    repository.path.joinpath("train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assembly = repository.path / "assembly.py"
    assembly.write_text(assembly.read_text() + FORGETS)
    return repository


def test_a_fault_that_only_a_sample_shows_is_found(consumer):
    repository = written(consumer, "forgets")
    result = repository.runpytest_subprocess("-p", "image_spans.plugin", "-k", "none-text.survives")
    assert result.ret == 1
    assert "page 17" in result.stdout.str()
    assert cause(result)
    result.stdout.fnmatch_lines(
        ["image-spans: samples of mine: 2 rows, 1 conversations; 1 are no conversation * (image-missing 1)"]
    )


def test_samples_that_are_right_are_counted_and_green(consumer):
    result = written(consumer).runpytest_subprocess("-p", "image_spans.plugin", "-k", "none-text.survives")
    assert result.ret == 0
    result.stdout.fnmatch_lines(["image-spans: samples of mine: 2 rows, 1 conversations; *"])


def test_samples_that_cannot_be_read_are_a_usage_error(consumer):
    repository = written(consumer)
    repository.path.joinpath("train.jsonl").unlink()
    result = repository.runpytest_subprocess("-p", "image_spans.plugin")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*tokenizers_under_test.yaml:3: subjects.mine.samples: *train.jsonl: there is no such*"]
    )
