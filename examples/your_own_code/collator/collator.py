"""A dataset's row and a data collator, written for this page in the shape of LLaVA's; nothing is copied."""

IGNORED, SLOTS = -100, 144
ROLES = {"user": "USER: ", "assistant": "ASSISTANT: "}


def make_row(tokenizer, messages, number_of_images):
    """ids and labels of one row; <image> in a message is where an image stands."""
    tags = sum(message["content"].count("<image>") for message in messages)
    if tags != number_of_images:
        raise ValueError(f"{number_of_images} images for {tags} times <image>")
    image = [tokenizer.convert_tokens_to_ids("<image>")] * SLOTS
    ids, labels = [], []
    for message in messages:
        learned = message["role"] == "assistant"
        for text, label in ((ROLES[message["role"]], False), (message["content"], learned)):
            for number, piece in enumerate(text.split("<image>")):
                found = tokenizer.encode(piece, add_special_tokens=False, split_special_tokens=True)
                ids += image * (number > 0) + found
                labels += [IGNORED] * (SLOTS * (number > 0)) + (found if label else [IGNORED] * len(found))
        ids.append(tokenizer.eos_token_id)
        labels.append(tokenizer.eos_token_id if learned else IGNORED)
    return {"input_ids": ids, "labels": labels}


class Collator:
    def __init__(self, tokenizer, padding_side="right"):
        self.pad = tokenizer.eos_token_id  # the vocabulary has no padding token
        self.left = padding_side == "left"

    def __call__(self, rows):
        longest = max(len(row["input_ids"]) for row in rows)
        ids = [self.padded(row["input_ids"], longest, self.pad) for row in rows]
        mask = [self.padded([1] * len(row["input_ids"]), longest, 0) for row in rows]
        labels = [self.padded(row["labels"], longest, IGNORED) for row in rows]
        return {"input_ids": ids, "attention_mask": mask, "labels": labels}

    def padded(self, values, longest, fill):
        missing = [fill] * (longest - len(values))
        return missing + values if self.left else values + missing
