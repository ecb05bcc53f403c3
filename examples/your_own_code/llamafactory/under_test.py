from mm_plugin import Gemma3Plugin, tokenize


def encode(tokenizer, conversation):
    ids, labels, types = tokenize(tokenizer, conversation.to_messages("tag"), conversation.pil_images(), Gemma3Plugin())
    return {"input_ids": ids, "labels": labels, "token_type_ids": types}
