"""tokenizers' trainers, ten times each on the same lines, in one process."""

import sys

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

LINES = ["a cat and a dog on a mat", "the image of a cat", "hello there world"] * 20
common = {"vocab_size": 60, "special_tokens": ["<unk>", "<image>"], "show_progress": False}
kinds = {
    "WordPiece": (models.WordPiece(unk_token="<unk>"), trainers.WordPieceTrainer(**common)),
    "Unigram": (models.Unigram(), trainers.UnigramTrainer(unk_token="<unk>", **common)),
    "BPE": (models.BPE(unk_token="<unk>"), trainers.BpeTrainer(**common)),
}
same = {}
for name, (model, trainer) in kinds.items():
    seen = []
    for _ in range(10):
        tokenizer = Tokenizer(model)
        tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
        tokenizer.train_from_iterator(LINES, trainer)
        seen.append(tokenizer.get_vocab())
    same[name] = all(vocabulary == seen[0] for vocabulary in seen)
    print(f"{name}: the same vocabulary each time: {same[name]}")
    print(f"  <image> has the same id each time: {len({vocabulary['<image>'] for vocabulary in seen}) == 1}")
sys.exit(1 if all(same.values()) else 0)
