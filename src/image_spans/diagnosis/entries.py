"""Limits, batches, turns and other ways in (F8, F11, F12, F14)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from image_spans.case import Case
from image_spans.diagnosis.errors import accident
from image_spans.findings import Cause, Finding


def path(case: Case, finding: Finding) -> Cause | None:
    """Entries that should agree."""
    named, error = finding.facts.get("path"), finding.facts.get("crashed")
    if named is None:
        return Cause("keeps-state", "the pipeline remembers something from the call before")
    # With its name: what is known of one path must not hide another.
    path = "path-" + re.sub(r"[^\w.]+", "-", named)
    if error is None:
        return Cause(f"{path}-differs", f"the path {named} assembles the prompt in another way")
    kind = type(error).__name__
    return Cause(f"{path}-raised-{kind}", f"the path {named} fails with {kind} where the pipeline does not")


def relation(case: Case, finding: Finding) -> Cause | None:
    """Related conversations whose ids do not relate."""
    return {
        "relations.prefix": Cause(
            "prefix-depends-on-images", "what stands before the images is chosen by looking at the images"
        ),
        "relations.swap": Cause(
            "spans-bound-to-position",
            "the spans do not follow the images: sizes are taken from elsewhere, as from a cache",
        ),
        "relations.append": Cause("earlier-span-changed", "an earlier image is written anew when a turn is added"),
    }.get(finding.check)


_LIMIT_REFUSED = {
    "fits": (
        "limit-refused-needlessly",
        "a conversation that fits is refused: the limit is compared as if it were less",
    ),
    "unclear": ("limit-refusal-unclear", "what is too long is refused, but the error names neither limit nor length"),
}


def limit(case: Case, finding: Finding) -> Cause | None:
    """What is cut off at a limit."""
    facts = finding.facts
    if facts.get("uncut"):
        if "bounds" in facts:
            return Cause(
                "bounds-not-cut", "the bounds are those of the whole conversation: ids were cut after they were taken"
            )
        return Cause("arrays-not-cut", "ids and side arrays were not cut at the same place")
    if "refused" in facts:
        why = facts["refused"]
        return Cause(
            *_LIMIT_REFUSED.get(why, ("limit-refused", f"too long a conversation is refused, declared is {why}"))
        )
    if "ignored" in facts:
        if facts["ignored"]:
            return Cause("limit-ignored", "max_length has no effect")
        return Cause("limit-exceeded", _exceeded(case, facts))
    if "lost" in facts:
        return Cause(
            "image-cut-off",
            f"ids are cut off at max_length={facts['limit']} with placeholders among them, while their image is still "
            f"delivered; it would have to be {_needed(facts)}",
        )
    if "split" in facts:
        return Cause(
            "cut-inside-span",
            f"ids are cut off at max_length={facts['limit']} without looking whether the cut goes through an image; "
            f"it would have to be {_needed(facts)}",
        )
    flags = {
        "needless": ("cut-needlessly", "ids are cut off or changed although all of them fit"),
        "accepted": (
            "cut-instead-of-refusal",
            f"what is too long is cut without a word; the contract says reject; it would have to be {_needed(facts)}",
        ),
        "beside": ("cut-beside", "the cut lies at another place than the limit and the images ask for"),
        "lost_bos": ("bos-cut-off", "the left side was cut off with the BOS that stands in front"),
        "wrong_side": ("cut-on-wrong-side", f"the {facts.get('wrong_side')} side is cut off instead of the other"),
        "changed": ("cut-changes-ids", "what is left was not part of the whole: ids were changed, not only cut off"),
        "bounds": (
            "bounds-cut-elsewhere",
            "bounds of images that are gone are left, or those left were not moved along",
        ),
    }
    for fact, (name, sentence) in flags.items():
        if facts.get(fact):
            return Cause(name, sentence)
    if "features" in facts:
        if facts["features"] > 0:
            return Cause(
                "features-kept", "features are still delivered for images, or parts of them, that were cut off"
            )
        return Cause("features-cut", "features are missing for images that are still there")
    if "array" in facts:
        return Cause(f"{facts['array']}-not-cut", f"{facts['array']} were cut at another place than the ids")
    return accident(case, finding, "limit")


def _needed(facts: Mapping[str, Any]) -> str:
    """How long the limit would have to be."""
    one = f"{facts['needed']} for this span, " if "needed" in facts else ""
    return f"{one}{facts.get('whole')} for all"


def _exceeded(case: Case, facts: Mapping[str, Any]) -> str:
    """Whether it is the length before images are expanded: then all comes back as soon as that is within the limit."""
    unexpanded = len(case.ids) - sum(end - start - 1 for start, end in case.found.runs)
    try:
        cut = case.bench.run(partial(case.subject.encode, max_length=unexpanded), case.conversation)
    except Exception:  # as of any pipeline that refuses what is too long
        cut = None
    if unexpanded < len(case.ids) and cut is not None and cut.ids == case.ids:
        return (
            f"the limit is applied before images are expanded: with max_length={unexpanded}, which is the length then, "
            f"all {len(case.ids)} ids come back"
        )
    limit, came = facts["limit"], facts["came"]
    return f"the limit is applied to another length: with max_length={limit} there are {came - limit} ids too many"


def batch(case: Case, finding: Finding) -> Cause | None:
    """A row of a batch against its conversation alone."""
    facts = finding.facts
    if "lost" in facts:
        more = facts["lost"] > 0
        return Cause("rows-surplus" if more else "rows-lost", f"{'more' if more else 'fewer'} rows come out than go in")
    if "pad" in facts:
        return Cause("pad-id-wrong", "the padding is another token than the one that is declared for it")
    if "bounds" in facts:
        if facts["bounds"]:
            return Cause(
                "bounds-not-moved",
                f"the bounds are those of the row without the {facts['padding']} ids of padding that stand in front",
            )
        return Cause("bounds-differ", "the bounds of a row are not those of its conversation, moved by the padding")
    key = facts.get("filled") or facts.get("array")
    if key == "attention_mask":
        return Cause("mask-wrong", "attention_mask is not 0 exactly on the padding")
    if facts.get("filled") == "labels":
        return Cause("labels-on-padding", "the padding is labelled, so it would be learned")
    if facts.get("by_id"):
        return Cause(
            "labels-masked-by-id",
            "labels that are the padding's id are taken for padding, also where that id ends an answer",
        )
    if key:
        where = "on the padding" if "filled" in facts else "beside it"
        return Cause(f"{key}-misplaced", f"{key} were not padded like the ids: they are wrong {where}")
    flags = {
        "no_pad": ("pad-unknown", "the contract names a padding token that the tokenizer does not have"),
        "ragged": ("rows-ragged", "the rows were not padded to one length"),
        "shorter": ("rows-cut", "rows are cut: padding is counted before images are expanded, or a limit is built in"),
        "reordered": ("rows-reordered", "the rows do not come out in the order in which they go in"),
        "wrong_side": ("padding-on-wrong-side", "padding_side is not heeded: a setting of the tokenizer's is used"),
        "differs": ("row-differs", "in a batch a conversation is assembled in another way than alone"),
        "features": (
            "row-features-differ",
            "the features of a row are not those of its conversation: rows were mixed up",
        ),
    }
    for fact, (name, sentence) in flags.items():
        if facts.get(fact):
            return Cause(name, sentence)
    return accident(case, finding, "batch")


def turns(case: Case, finding: Finding) -> Cause | None:
    """A turn that is added to what was encoded."""
    facts = finding.facts
    if "structure" in facts:
        if facts["again"] and facts["old"]:
            return Cause(
                "expanded-again", "a block that was expanded already is expanded once more when a turn is added"
            )
        if facts["old"]:
            return Cause("old-block-changed", "a block of an earlier turn is written anew when a turn is added")
        return Cause(
            "new-block-differs", "the images of the turn that is added are not written as in the whole conversation"
        )
    if "side" in facts:
        return Cause(f"{facts['side']}-not-continued", f"{facts['side']} are not carried on when a turn is added")
    if "bos" in facts:
        got, wanted = facts["bos"]
        if got > wanted:
            return Cause("bos-per-turn", "each turn that is added brings a BOS of its own")
        if facts["cut"]:
            return Cause("old-ids-changed", "ids of earlier turns are changed when a turn is added")
        return Cause(
            "new-turn-differs", "the turn that is added is encoded in another way than in the whole conversation"
        )
    return accident(case, finding, "continue")
