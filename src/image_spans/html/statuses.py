"""How tests end: names, words and signs; no status is told by its colour alone."""

from __future__ import annotations

PASSED, FAILED, KNOWN, BLOCKED, SKIPPED = "passed", "failed", "known", "blocked", "skipped"
NOT_RUN, INAPPLICABLE = "not-run", "inapplicable"
WORST_FIRST = (FAILED, BLOCKED, SKIPPED, KNOWN, PASSED, NOT_RUN, INAPPLICABLE)
WORDS = {
    PASSED: "passed",
    FAILED: "failed",
    KNOWN: "known failure",
    BLOCKED: "blocked",
    SKIPPED: "skipped",
    NOT_RUN: "not run",
    INAPPLICABLE: "not applicable",
}
GLYPHS = {PASSED: "\u2713", FAILED: "\u2717", KNOWN: "\u2248", BLOCKED: "\u2298", SKIPPED: "\u00bb"} | {
    NOT_RUN: "\u25cb",
    INAPPLICABLE: "\u00b7",
}
