"""``python -m image_spans init``: a tokenizer is probed, and an entry of the YAML proposed.

What is found out by calling, read from the checkpoint's own files or known from the names of tokens is stated, with the
evidence as a comment. What cannot be decided is a value TODO, which no run accepts.
"""
