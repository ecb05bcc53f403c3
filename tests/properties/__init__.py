"""The property tests; the wheel installs them as ``image_spans.suite``."""
