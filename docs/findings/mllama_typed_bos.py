"""Mllama: text that spells the BOS token."""

import sys

from tokenizers import Tokenizer, models
from transformers import MllamaImageProcessorPil, MllamaProcessor, PreTrainedTokenizerFast

words = Tokenizer(models.WordLevel({"<unk>": 0, "<|image|>": 1}, unk_token="<unk>"))
named = {"unk_token": "<unk>", "bos_token": "<bos>", "extra_special_tokens": {"image_token": "<|image|>"}}
tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, **named)
processor = MllamaProcessor(MllamaImageProcessorPil(), tokenizer)
for text in ("what is ?", "what is <bos> ?"):
    first = processor(text=text)["input_ids"][0][0]
    print(f"{text!r} begins with {tokenizer.decode([first])}")
sys.exit(0 if first != tokenizer.bos_token_id else 1)
