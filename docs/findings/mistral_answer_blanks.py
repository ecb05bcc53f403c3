"""mistral-common: answers that end with a blank or a newline, and a question in one chunk or in two."""

import sys

from mistral_common.protocol.instruct.chunk import TextChunk
from mistral_common.protocol.instruct.messages import AssistantMessage, UserMessage
from mistral_common.protocol.instruct.request import ChatCompletionRequest
from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy
from mistral_common.tokens.tokenizers.mistral import MistralTokenizer

tokenizer = MistralTokenizer.v3(is_tekken=True, is_mm=True)


def text(answer, *question):
    asked, again = UserMessage(content=[TextChunk(text=part) for part in question]), UserMessage(content="more")
    request = ChatCompletionRequest(messages=[asked, AssistantMessage(content=answer), again])
    return tokenizer.decode(tokenizer.encode_chat_completion(request).tokens, SpecialTokenPolicy.KEEP)


for arguments in (("yes", "a b"), ("yes  ", "a b"), ("yes\n", "a b"), ("yes", "a", " b")):
    print(arguments, repr(text(*arguments)))
sys.exit(0 if text("yes", "a b") == text("yes  ", "a b") else 1)
