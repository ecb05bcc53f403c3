"""Pipelines and tokenizers that do what they must not; each breaks a run in one way. A module of a consumer."""

import contextlib
import itertools
import operator
import os
import signal
import sys
import threading
import time

import numpy
from assembly import right

from image_spans import Text
from image_spans.training import tiktoken

TOKENS = ["<image>", "</image>", "<slice>", "</slice>", "<slot>"]


def raises(tokenizer, conversation):
    raise KeyError("image_bound")


def raises_a_long_text(tokenizer, conversation):
    raise KeyError("id " * 1_000_000)


def raises_what_exits_when_shown(tokenizer, conversation):
    class Exits(BaseException):
        def __str__(self):
            sys.exit(3)

    raise Exits


def raises_what_cannot_be_shown(tokenizer, conversation):
    class Unprintable(Exception):
        def __str__(self):
            raise RuntimeError("no words")

    raise Unprintable


def returns_none(tokenizer, conversation):
    return None


def returns_text(tokenizer, conversation):
    return tokenizer.decode(right(tokenizer, conversation))


def returns_floats(tokenizer, conversation):
    return [float(i) for i in right(tokenizer, conversation)]


def returns_bools(tokenizer, conversation):
    return [True for _ in right(tokenizer, conversation)]


def returns_nested(tokenizer, conversation):
    return [right(tokenizer, conversation)]


def returns_a_batch_of_numpy(tokenizer, conversation):
    return numpy.array([right(tokenizer, conversation)])


def returns_numpy(tokenizer, conversation):
    """Nothing is wrong with that."""
    return {"input_ids": numpy.array(right(tokenizer, conversation))}


def returns_a_generator(tokenizer, conversation):
    yield from right(tokenizer, conversation)


def returns_itself(tokenizer, conversation):
    ids = []
    ids.append(ids)
    return ids


def returns_negative(tokenizer, conversation):
    return [*right(tokenizer, conversation), -200]


def returns_huge(tokenizer, conversation):
    return [*right(tokenizer, conversation), 2**70]


def returns_other_labels(tokenizer, conversation):
    ids = right(tokenizer, conversation)
    return {"input_ids": ids, "labels": ids[1:]}


def changes_the_conversation(tokenizer, conversation):
    ids = right(tokenizer, conversation)
    for message in conversation.messages:
        object.__setattr__(message, "parts", tuple(part for part in message.parts if isinstance(part, Text)))
    return ids


calls = itertools.count()


def leaves_what_cannot_be_compared(tokenizer, conversation):
    class Role(str):
        __hash__ = str.__hash__

        def __eq__(self, other):
            raise RuntimeError("not comparable")

    ids = right(tokenizer, conversation)
    object.__setattr__(conversation.messages[0], "role", Role("user"))
    return ids


def differs_on_a_second_call(tokenizer, conversation):
    ids = right(tokenizer, conversation)
    return ids if next(calls) % 2 else [*ids, *tokenizer.encode("!")]


def prints_a_lot(tokenizer, conversation):
    print("ids " * 50_000)
    return right(tokenizer, conversation)


def prints_a_lot_of_bytes(tokenizer, conversation):
    sys.stderr.buffer.write(b"ids " * 50_000)
    return right(tokenizer, conversation)


def prints_a_little(tokenizer, conversation):
    """Nothing is wrong with that, but it must not drown the report."""
    print("about to encode", conversation, file=sys.stderr)
    return right(tokenizer, conversation)


def closes_stdout(tokenizer, conversation):
    """Nothing that a library should do, but the run is not to end for it."""
    with sys.stdout:
        sys.stderr.writelines(["bye"])
    sys.stderr.close()
    return right(tokenizer, conversation)


def knows_images_by_identity(tokenizer, conversation):
    """Nothing is wrong with that: two images of one size are equal, but not the same."""
    parts = [part for message in conversation.messages for part in message.parts if not isinstance(part, Text)]
    assert all(map(operator.is_, parts, conversation.images))
    return right(tokenizer, conversation)


def forks(tokenizer, conversation):
    """Nothing is wrong with that."""
    child = os.fork()
    if child == 0:
        sys.exit(0)
    os.waitpid(child, 0)
    return right(tokenizer, conversation)


def forks_and_exits_at_once(tokenizer, conversation):
    """Nothing is wrong with that: it is how a child should end."""
    child = os.fork()
    if child == 0:
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    return right(tokenizer, conversation)


def loops(tokenizer, conversation):
    while True:
        pass


def sleeps(tokenizer, conversation):
    time.sleep(10_000)


def sleeps_past_the_limit_of_the_test(tokenizer, conversation):
    signal.setitimer(signal.ITIMER_REAL, 0.1)
    time.sleep(10_000)


def loops_and_catches(tokenizer, conversation):
    while True:
        with contextlib.suppress(Exception):
            time.sleep(0.01)


def loops_and_catches_all(tokenizer, conversation):
    """It goes on after the interruption, with a right answer."""
    try:
        while True:
            time.sleep(0.001)
    except BaseException:
        return right(tokenizer, conversation)


def loops_and_raises_another(tokenizer, conversation):
    try:
        while True:
            time.sleep(0.001)
    except BaseException as error:
        raise ValueError("out of time") from error


def loops_without_a_handler(tokenizer, conversation):
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    while True:
        pass


def exits(tokenizer, conversation):
    sys.exit(0)


def exits_at_once(tokenizer, conversation):
    os._exit(0)


def exits_at_once_in_a_thread(tokenizer, conversation):
    thread = threading.Thread(target=os._exit, args=(0,))
    thread.start()
    thread.join()
    return right(tokenizer, conversation)


def exits_at_once_and_catches_all(tokenizer, conversation):
    try:
        os._exit(0)
    except BaseException:
        return right(tokenizer, conversation)


def becomes_another_program(tokenizer, conversation):
    os.execvp(sys.executable, [sys.executable, "-c", ""])


def skips(tokenizer, conversation):
    import pytest

    pytest.skip("not today")


def recurses(tokenizer, conversation):
    return recurses(tokenizer, conversation)


# ---------------------------------------------------------------- a rule, a grammar


def rule_that_fails_on_large_images(width, height, number_of_images, *, slots):
    from image_spans.slicing import Block, Layout

    return Layout(Block(1, slots // (width < 2000)))


def rule_that_loops_on_large_images(width, height, number_of_images, *, slots):
    from image_spans.slicing import Block, Layout

    while width == 2176:  # not one of the sizes that are tried first
        pass
    return Layout(Block(1, slots))


# ---------------------------------------------------------------- tokenizers


class Plain:
    """A tokenizer of one's own that is right."""

    library = "ours 1.0 Plain"

    def __init__(self):
        self._encoding = tiktoken.train(special_tokens=TOKENS)
        self.native = self._encoding

    def encode(self, text):
        return self._encoding.encode_ordinary(text)

    encode_text = encode

    def encode_markup(self, text):
        return self._encoding.encode(text, allowed_special="all")

    def decode(self, ids):
        return self._encoding.decode(list(ids))

    def token_to_id(self, token):
        try:
            return self._encoding.encode_single_token(token)
        except KeyError:
            return None

    def id_to_token(self, token_id):
        try:
            return self._encoding.decode_single_token_bytes(token_id).decode(errors="replace")
        except (KeyError, OverflowError):
            return f"<id {token_id}>"

    def special_tokens(self):
        return {token: self.token_to_id(token) for token in TOKENS}

    def named_ids(self):
        return {}


class Raises(Plain):
    def encode_text(self, text):
        if "\n" in text:
            raise OSError("lost the file")
        return super().encode_text(text)


class ReturnsNone(Plain):
    def encode_text(self, text):
        return None


class ReturnsText(Plain):
    def encode(self, text):
        return text


class ReturnsFloats(Plain):
    def encode_text(self, text):
        return [float(i) for i in super().encode_text(text)]


def without_the_first_id(tokenizer, conversation):
    return right(tokenizer, conversation)[1:]


class FailsLate(Plain):
    """Once it was asked for the name of each id, and so only when a report is written."""

    def __init__(self):
        super().__init__()
        self._asked = set()

    def id_to_token(self, token_id):
        if token_id in self._asked and token_id not in self.special_tokens().values():
            raise OSError("lost the file")
        self._asked.add(token_id)
        return super().id_to_token(token_id)


class DecodesToBytes(Plain):
    def decode(self, ids):
        return super().decode(ids).encode()


class Loops(Plain):
    def encode_text(self, text):
        while len(text) > 3:
            pass
        return super().encode_text(text)


class LoopsLate(Plain):
    """Only on text that no probe holds."""

    def decode(self, ids):
        text = super().decode(ids)
        while "0" in text and "\n" in text:
            pass
        return text


class LoopsOnItsTokens(Plain):
    """Only after the prechecks have asked."""

    asked = 0

    def special_tokens(self):
        self.asked += 1
        while self.asked > 1:
            pass
        return super().special_tokens()


def load_and_raise():
    raise FileNotFoundError("vocab.json")


def load_and_loop():
    while True:
        pass


def load_and_exit():
    sys.exit("bye")


def load_nothing():
    return None
