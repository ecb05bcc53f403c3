from dataset import preprocess


def encode(tokenizer, conversation, llm_type, max_length=100_000):
    row = preprocess(conversation.pil_images(), conversation.to_messages("numbered"), tokenizer, llm_type, max_length)
    return {"input_ids": row["input_ids"], "labels": row["labels"], "image_bounds": row["image_bound"]}
