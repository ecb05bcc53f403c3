"""What the plain call of a fast tokenizer returns that names no inputs of its own."""

import sys

from tokenizers import Tokenizer, models
from transformers import PreTrainedTokenizerFast

bare = Tokenizer(models.WordLevel({"a": 0, "[UNK]": 1}, unk_token="[UNK]"))
returned = PreTrainedTokenizerFast(tokenizer_object=bare)("a")
asked = PreTrainedTokenizerFast(tokenizer_object=bare)("a", return_token_type_ids=True)
print(f"the plain call: {', '.join(sorted(returned.keys()))}\nasked for it: {', '.join(sorted(asked.keys()))}")
sys.exit(0 if "token_type_ids" not in returned else 1)
