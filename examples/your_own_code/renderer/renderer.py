"""A renderer, messages to chunks and weights, written for this page in tinker-cookbook's shape; nothing is copied."""

import math
from dataclasses import dataclass

import PIL.Image

PATCH, LEAST, MOST = 32, 65_536, 1_048_576


@dataclass
class TextChunk:
    tokens: list[int]


@dataclass
class ImageChunk:
    image: PIL.Image.Image
    length: int  # how many places it takes


class Qwen3VLRenderer:
    def __init__(self, tokenizer):
        self.tokenizer = tokenizer

    def build_supervised_example(self, messages):
        """Chunks, and for each place of the prompt 1.0 if it is learned."""
        chunks, weights = [], []
        for message in messages:
            self._text(chunks, weights, f"<|im_start|>{message['role']}\n", 0.0)
            learned = 1.0 if message["role"] == "assistant" else 0.0
            for part in message["content"]:
                if part["type"] == "text":
                    self._text(chunks, weights, part["text"], learned, typed=True)
                else:
                    self._text(chunks, weights, "<|vision_start|>", 0.0)
                    chunks.append(ImageChunk(part["image"], image_length(*part["image"].size)))
                    weights += [0.0] * chunks[-1].length
                    self._text(chunks, weights, "<|vision_end|>", 0.0)
            self._text(chunks, weights, "<|im_end|>", learned)
            self._text(chunks, weights, "\n", 0.0)
        return chunks, weights

    def _text(self, chunks, weights, text, weight, typed=False):
        tokens = self.tokenizer.encode(text, add_special_tokens=False, split_special_tokens=typed)
        if not chunks or isinstance(chunks[-1], ImageChunk):
            chunks.append(TextChunk([]))
        chunks[-1].tokens += tokens
        weights += [weight] * len(tokens)


def image_length(width, height):
    """Patches of the resized picture."""
    if max(width, height) > 200 * min(width, height):
        raise ValueError(f"{width}x{height} is more than 200 times as long as wide")
    rows, columns = (max(round(side / PATCH), 1) for side in (height, width))
    pixels = rows * columns * PATCH**2
    if pixels > MOST:
        scale = math.sqrt(height * width / MOST)
        rows, columns = (max(math.floor(side / scale / PATCH), 1) for side in (height, width))
    elif pixels < LEAST:
        scale = math.sqrt(LEAST / (height * width))
        rows, columns = (math.ceil(side * scale / PATCH) for side in (height, width))
    return rows * columns
