from collator import Collator, make_row


def encode(tokenizer, conversation):
    return make_row(tokenizer, conversation.to_messages("tag"), len(conversation.images))


def batch(tokenizer, conversations, *, padding_side):
    return Collator(tokenizer, padding_side)([encode(tokenizer, one) for one in conversations])
