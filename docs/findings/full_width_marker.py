"""Full-width look-alikes of an image token, where NFKC runs before the token is looked for."""

import io
import sys

import sentencepiece
from tokenizers import AddedToken, Tokenizer, models, normalizers

TEXT, found = "\uff1cimage\uff1e", []
vocabulary = {piece: number for number, piece in enumerate(["<unk>", *"<image>", "\uff1c", "\uff1e"])}
for normalized in (True, False):
    tokenizer = Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>"))
    tokenizer.normalizer = normalizers.NFKC()
    tokenizer.add_tokens([AddedToken("<image>", normalized=normalized)])
    found.append("<image>" in tokenizer.encode(TEXT).tokens)
    print(f"tokenizers, normalized={normalized}: {tokenizer.encode(TEXT).tokens!a}")
print(f"tokenizers, what add_tokens(['<image>']) takes: normalized={AddedToken('<image>').normalized}")
for rule in ("nmt_nfkc", "identity"):
    model, words = io.BytesIO(), {"hard_vocab_limit": False, "vocab_size": 40, "minloglevel": 2}
    words |= {"user_defined_symbols": ["<image>"], "normalization_rule_name": rule}
    lines = iter(["hello there world", "image of a cat"] * 20)
    sentencepiece.SentencePieceTrainer.train(sentence_iterator=lines, model_writer=model, **words)
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue()).encode(TEXT, out_type=str)
    found.append("<image>" in pieces)
    print(f"sentencepiece, {rule}: has <image>: {found[-1]}")
sys.exit(0 if any(found) else 1)
