"""mistral-common itself: its chat requests with image chunks, and the ids that come out."""

from itertools import groupby
from unittest import mock

import numpy as np
import PIL.Image
from mistral_common.protocol.instruct.chunk import ImageChunk, TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, SystemMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.protocol.instruct.validator import ValidationMode
from mistral_common.tokens.tokenizers import image
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

from image_spans import Conversation, Image, Message, Text

CLASSES = {"system": SystemMessage, "user": UserMessage, "assistant": AssistantMessage}


def load(file):
    """One of the files that the library brings with it; any message may be the last."""
    return MistralTokenizer.from_file(MistralTokenizer._data_path() / file, mode=ValidationMode.agnostic)


def encode(tokenizer, conversation, pixels=True):
    messages = [CLASSES[message.role](content=_content(message)) for message in conversation.messages]
    with mock.patch.object(image, "transform_image", image.transform_image if pixels else _blank):
        result = tokenizer.encode_chat_completion(ChatCompletionRequest(messages=messages))
    side = tokenizer.instruct_tokenizer.image_encoder.image_config.image_patch_size
    slots = [picture.shape[1] * picture.shape[2] // side**2 for picture in result.images]
    return {"input_ids": result.tokens, "features": list(enumerate(slots))}


def _content(message):
    """Chunks. Texts side by side are joined here: between two chunks of text the library writes two line breaks."""
    chunks = []
    for kind, parts in groupby(message.parts, type):
        if kind is Text:
            chunks.append(TextChunk(text="".join(part.text for part in parts)))
        else:
            chunks += [ImageChunk(image=PIL.Image.new("RGB", (part.width, part.height))) for part in parts]
    return chunks


def _blank(picture, size):
    """Pixels of the right shape, without OpenCV."""
    return np.broadcast_to(np.float32(0), (3, size[1], size[0]))


def single_image_first(conversation):
    """The order that the library keeps to: one image behind nothing but text is moved in front of it."""
    return Conversation(Message(message.role, _reordered(message.parts)) for message in conversation.messages)


def _reordered(parts):
    alone = len(parts) > 1 and isinstance(parts[-1], Image) and not any(isinstance(p, Image) for p in parts[:-1])
    return [parts[-1], *parts[:-1]] if alone else parts
