"""From a finding to one sentence that names its cause.

An explanation is a function that tries one known fault (families F1 to F15 of the real reports) against the ids: it
returns the cause when that fault alone gives exactly what was found. The first that fits is said; where several
may fit, they are rivals and related conversations decide (:mod:`image_spans.diagnosis.rivals`). Where none fits, the
cause is unknown and that is said instead of a guess.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from image_spans.case import Case
from image_spans.diagnosis.bos import bos
from image_spans.diagnosis.counts import counts, fault
from image_spans.diagnosis.entries import batch, limit, path, relation, turns
from image_spans.diagnosis.errors import judging_raised, raised
from image_spans.diagnosis.first_id import first_id
from image_spans.diagnosis.layouts import inside_block, layouts, order, sizes
from image_spans.diagnosis.learned import arrays, labels
from image_spans.diagnosis.markers import as_text, deleted, markers, refusal, typed, unk
from image_spans.diagnosis.rivals import among, other_sizes, structures
from image_spans.diagnosis.slots import bounds, cut_at_limit, moved, slot_count
from image_spans.diagnosis.text import special, text
from image_spans.errors import words
from image_spans.findings import UNKNOWN, Cause, Finding, strip_of
from image_spans.foreign import MISBEHAVIOUR

Explanation: TypeAlias = Callable[[Case, Finding], "Cause | None"]


def diagnose(case: Case, finding: Finding) -> Cause:
    """The cause of a finding on a case."""
    if "raised" in finding.facts:
        return judging_raised(finding.facts["raised"])
    # The first group alone: what explains missing spans must not be asked about bounds of spans that are right.
    group = next((group for group in EXPLANATIONS if finding.check.startswith(group)), None)
    for explain in EXPLANATIONS[group] if group is not None else ():
        cause = explain(case, finding)
        if cause is not None:
            return cause
    return UNKNOWN


def diagnosed(case: Case, finding: Finding) -> Finding:
    """A finding with its cause and the ids around the fault."""
    if finding.strip is not None or finding.conversation is None:
        return finding
    try:  # this asks the tokenizer, the rule and the grammar again
        return case.bench.foreign.call(lambda: f"diagnosing {finding.headline}", _diagnosed, case, finding)
    except Exception as error:
        did = str(error) if isinstance(error, MISBEHAVIOUR) else f"raised {words(error)}"
        return finding.having(cause=Cause(UNKNOWN.name, f"cause unknown: looking for it {did}"))


def _diagnosed(case: Case, finding: Finding) -> Finding:
    return finding.having(cause=diagnose(case, finding), strip=strip_at(case, finding))


def strip_at(case: Case, finding: Finding) -> tuple[str, str] | None:
    """The ids of a case around a fault, and a line that points at it."""
    if case.encoding is None or finding.at is None:
        return None
    note = f"expected {finding.expected}" if finding.expected else "here"
    return strip_of(case.encoding.ids, finding.at, case.id_name, ascii(note)[1:-1])


EXPLANATIONS: dict[str, tuple[Explanation, ...]] = {
    "pipeline.": (raised,),
    "bos.": (bos,),
    "spans.order": (moved, among([order, sizes], other_sizes)),
    "spans.bounds": (bounds,),
    "spans.": (
        unk,
        as_text,
        cut_at_limit,
        special,
        among([inside_block, first_id, layouts, markers], structures),
        slot_count,
    ),
    "literals.": (refusal, typed, deleted, text),
    "text.": (cut_at_limit, text),
    "paths.": (path,),
    "relations.": (relation,),
    "labels.": (labels,),
    "arrays.": (arrays,),
    "geometry.": (counts,),
    "failures.": (fault,),
    "truncation.": (limit,),
    "batch.": (batch,),
    "expansion.": (turns,),
}
"""What may explain a check, by the beginning of its name; the first that matches counts."""
