"""``python -m image_spans show``: one conversation, its ids as a strip, and what each check says of it."""
