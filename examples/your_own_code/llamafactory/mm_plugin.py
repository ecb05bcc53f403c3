"""A multimodal plugin and what tokenizes with it, written for this page in LLaMA-Factory's shape; nothing is copied."""

IGNORED = -100
TAG, OPEN, SOFT, CLOSE, SLOTS = "<image>", "<start_of_image>", "<image_soft_token>", "<end_of_image>", 256


class Gemma3Plugin:
    def process_messages(self, messages, images):
        """Each <image> of the messages becomes the tokens of an image, with one placeholder for now."""
        tags = sum(message["content"].count(TAG) for message in messages)
        if tags != len(images):
            raise ValueError(f"{len(images)} images, but the messages have {tags} times {TAG}")
        image = f"\n\n{OPEN}{SOFT}{CLOSE}\n\n"
        return [{**message, "content": message["content"].replace(TAG, image)} for message in messages]

    def process_token_ids(self, ids, labels, images, tokenizer):
        """Each placeholder becomes as many as an image has features, in ids and labels alike."""
        soft = tokenizer.convert_tokens_to_ids(SOFT)
        if ids.count(soft) != len(images):
            raise ValueError(f"{len(images)} images, but the text has {ids.count(soft)} times {SOFT}")
        expanded, learned = [], []
        for token, label in zip(ids, labels, strict=True):
            count = SLOTS if token == soft else 1
            expanded += [token] * count
            learned += [label] * count
        return expanded, learned, [int(token == soft) for token in expanded]


def tokenize(tokenizer, messages, images, plugin):
    ids, labels = [tokenizer.bos_token_id], [IGNORED]
    for message in plugin.process_messages(messages, images):
        role = "model" if message["role"] == "assistant" else message["role"]
        for text, learned in (
            (f"<start_of_turn>{role}\n", False),
            (message["content"] + "<end_of_turn>\n", role == "model"),
        ):
            found = tokenizer.encode(text, add_special_tokens=False)
            ids += found
            labels += found if learned else [IGNORED] * len(found)
    return plugin.process_token_ids(ids, labels, images, tokenizer)
