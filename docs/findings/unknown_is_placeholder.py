"""convert_tokens_to_ids of a name that is no token, where unk_token is the image's placeholder."""

import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

vocabulary = {"<unk>": 0, "<image>": 1, "</image>": 2}
ids = {}
for words in ({"unk_token": "<unk>"}, {}):
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.WordLevel(vocabulary)), **words)
    ids[tokenizer.unk_token] = tokenizer.convert_tokens_to_ids("<slice>")
    print(f"unk_token {tokenizer.unk_token}: '<slice>' is {ids[tokenizer.unk_token]}")
    print(f"  '<image>', '<unk>': {tokenizer.convert_tokens_to_ids(['<image>', '<unk>'])}")
sys.exit(0 if ids["<unk>"] == vocabulary["<unk>"] else 1)
