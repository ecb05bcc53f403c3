"""One SentencePiece file, read by sentencepiece and by transformers' LlamaTokenizer."""

import shutil
import sys
import tempfile
from pathlib import Path

import mistral_common
import sentencepiece
from transformers import LlamaTokenizer

model = next((Path(mistral_common.__file__).parent / "data").glob("*.model.v7m1"))
reference = sentencepiece.SentencePieceProcessor(model_file=str(model))
with tempfile.TemporaryDirectory() as folder:
    shutil.copy(model, Path(folder, "tokenizer.model"))
    tokenizer = LlamaTokenizer.from_pretrained(folder)
differ = 0
for text in ("hello", " hello", "a  b"):
    ids = tokenizer.encode(text, add_special_tokens=False)
    differ += ids != reference.encode(text)
    print(f"{text!r}: LlamaTokenizer {ids}, sentencepiece {reference.encode(text)}, back {tokenizer.decode(ids)!r}")
for piece in ("▁▁", "▁b"):
    print(f"{piece!a}: id {reference.piece_to_id(piece)}, score {reference.get_score(reference.piece_to_id(piece))}")
sys.exit(0 if differ else 1)
