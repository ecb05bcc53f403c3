import PIL.Image
from renderer import ImageChunk, Qwen3VLRenderer

from image_spans import Text


def encode(tokenizer, conversation):
    messages = [{"role": m.role, "content": [as_part(part) for part in m.parts]} for m in conversation.messages]
    chunks, weights = Qwen3VLRenderer(tokenizer).build_supervised_example(messages)
    ids, bounds = [], []
    for chunk in chunks:
        if isinstance(chunk, ImageChunk):
            bounds.append((len(ids), len(ids) + chunk.length))
            ids += [tokenizer.convert_tokens_to_ids("<|image_pad|>")] * chunk.length
        else:
            ids += chunk.tokens
    labels = [token if weight else -100 for token, weight in zip(ids, weights, strict=True)]
    return {"input_ids": ids, "image_bounds": bounds, "labels": labels}


def as_part(part):
    if isinstance(part, Text):
        return {"type": "text", "text": part.text}
    return {"type": "image", "image": PIL.Image.new("RGB", (part.width, part.height))}
