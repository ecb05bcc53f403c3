"""encode_special_tokens=True, with models that hold the special token in their own vocabulary."""

import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

TEXT, IMAGE = "a <image> b", 1
pieces = ["<unk>", "<image>", *dict.fromkeys(TEXT)]
vocabulary = {piece: number for number, piece in enumerate(pieces)}
kinds = {
    "Unigram": models.Unigram([(piece, -1.0) for piece in pieces], unk_id=0),
    "WordLevel": models.WordLevel(vocabulary, unk_token="<unk>"),
    "WordPiece": models.WordPiece(vocabulary, unk_token="<unk>"),
    "BPE, trained with <image> in the lines": models.BPE(unk_token="<unk>"),
    "BPE, trained without": models.BPE(unk_token="<unk>"),
}
found = []
for name, model in kinds.items():
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    if name.startswith("BPE"):
        lines = [TEXT if "with <" in name else "a < image > b"] * 9
        trainer = trainers.BpeTrainer(special_tokens=["<unk>", "<image>"], show_progress=False)
        tokenizer.train_from_iterator(lines, trainer)
    tokenizer.add_special_tokens(["<image>"])
    tokenizer.encode_special_tokens = True
    found.append(IMAGE in tokenizer.encode(TEXT).ids)
    print(f"{name}: {tokenizer.encode(TEXT).tokens}")
sys.exit(0 if any(found) else 1)
