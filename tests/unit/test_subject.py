from collections import UserDict

import numpy
import pytest

from image_spans.conversation import Conversation
from image_spans.subject import BadEncoding, Encoding, as_encoding
from support import ToyTokenizer, subject

IDS = [1, 2, 3]


class Tensor:
    def tolist(self):
        return [1, 2, 3]


@pytest.mark.parametrize(
    "result", [IDS, (1, 2, 3), numpy.array(IDS), [numpy.int64(1), 2, 3], Tensor(), {"input_ids": IDS}]
)
def test_ids_in_any_flat_form(result):
    encoding = as_encoding(result)
    assert encoding.ids == IDS
    assert set(map(type, encoding.ids)) == {int}


def test_everything_that_may_come_with_them():
    encoding = as_encoding(
        {
            "input_ids": IDS,
            "image_bounds": numpy.array([[0, 2]]),
            "features": [(0, 2)],
            "labels": [-100, 2, 3],
            "extra": 1,
        }
    )
    assert encoding == Encoding(IDS, [(0, 2)], [(0, 2)], {"labels": [-100, 2, 3]})


@pytest.mark.parametrize(
    ("result", "said"),
    [
        (None, "the result is a NoneType, not a list of ids"),
        ("abc", "the result is a str, not a list of ids"),
        (b"abc", "the result is a bytes, not a list of ids"),
        ({"ids": IDS}, "the mapping has no 'input_ids'; its keys are ['ids']"),
        ([1, 2.0], "the result holds 2.0 (float) at 1; expected ints"),
        ([True], "the result holds True (bool) at 0; expected ints"),
        ([[1, 2]], "the result is nested: entry 0 is a list; expected one flat list"),
        (["a"], "the result holds 'a' (str) at 0; expected ints"),
        ({"input_ids": IDS, "labels": [1]}, "labels has 1 entries for 3 ids"),
        ({"input_ids": IDS, "image_bounds": "a"}, "image_bounds is a str, not a list of pairs"),
        ({"input_ids": IDS, "image_bounds": [[1]]}, "image_bounds[0] has 1 entries, not 2"),
        ({"input_ids": IDS, "features": [[1, 2.5]]}, "features[0] holds 2.5 (float) at 1; expected ints"),
        (bytearray(b"a"), "the result is a bytearray, not a list of ids"),
        (5, "the result is a int, not a list of ids"),
        ({1, 2}, "the result is a set, not a list of ids"),
        (iter(IDS), "the result is a list_iterator, not a list of ids"),
        ({}, "the mapping has no 'input_ids'; its keys are []"),
        ({2: 1, "a": 1}, "the mapping has no 'input_ids'; its keys are ['2', 'a']"),
        ({"input_ids": None}, "input_ids is a NoneType, not a list of ids"),
        (numpy.array([1.0]), "the result holds 1.0 (float) at 0; expected ints"),
        (numpy.array([True]), "the result holds True (bool) at 0; expected ints"),
        (numpy.array(1), "the result is a int, not a list of ids"),
        (numpy.array([IDS]), "the result is nested: entry 0 is a list; expected one flat list"),
        ([1, None], "the result holds None (NoneType) at 1; expected ints"),
        ([1, (2,)], "the result is nested: entry 1 is a tuple; expected one flat list"),
        ([numpy.bool_(True)], "the result holds np.True_ (bool) at 0; expected ints"),
        ([numpy.float64(1)], "the result holds np.float64(1.0) (float64) at 0; expected ints"),
        ([int], "the result holds <class 'int'> (type) at 0; expected ints"),
        ({"input_ids": IDS, "attention_mask": IDS + IDS}, "attention_mask has 6 entries for 3 ids"),
        ({"input_ids": IDS, "labels": "abc"}, "labels is a str, not a list of ids"),
        ({"input_ids": IDS, "image_bounds": 3}, "image_bounds is a int, not a list of pairs"),
        ({"input_ids": IDS, "image_bounds": {"a": 1}}, "image_bounds is a dict, not a list of pairs"),
        ({"input_ids": IDS, "image_bounds": [0, 1]}, "image_bounds[0] is a int, not a list of ids"),
        ({"input_ids": IDS, "image_bounds": [[0, 1], [0, 1, 2]]}, "image_bounds[1] has 3 entries, not 2"),
        ({"input_ids": IDS, "features": numpy.array([1])}, "features[0] is a int, not a list of ids"),
    ],
)
def test_what_is_no_encoding(result, said):
    with pytest.raises(BadEncoding) as error:
        as_encoding(result)
    assert str(error.value) == said


def test_what_is_declared_must_come_back():
    with pytest.raises(BadEncoding, match="declared under 'returns' but only ids came back: labels"):
        as_encoding(IDS, frozenset({"labels"}))
    with pytest.raises(BadEncoding, match="declared under 'returns' but not returned: labels"):
        as_encoding({"input_ids": IDS}, frozenset({"labels"}))
    with pytest.raises(BadEncoding, match="not returned: features, labels$"):
        as_encoding(
            {"input_ids": IDS, "labels": None, "image_bounds": []}, frozenset(("labels", "features", "image_bounds"))
        )
    assert as_encoding({"input_ids": IDS, "labels": IDS}, frozenset({"labels"})).arrays == {"labels": IDS}


class FloatTensor:
    """As torch's: every item has ``__index__``, and only those of whole numbers answer."""

    def __index__(self):
        raise TypeError("only integer tensors of a single element can be converted to an index")

    def __repr__(self):
        return "tensor(1.)"


class IntTensor:
    def __index__(self):
        return 7


def test_items_that_are_tensors():
    assert as_encoding([IntTensor(), 1]).ids == [7, 1]
    with pytest.raises(BadEncoding, match=r"the result holds tensor\(1\.\) \(FloatTensor\) at 0; expected ints"):
        as_encoding([FloatTensor()])


def test_the_list_is_a_copy():
    ids = [1, 2, 3]
    encoding = as_encoding({"input_ids": ids, "labels": ids})
    ids[0] = 9
    assert (encoding.ids, encoding.arrays["labels"]) == (IDS, IDS)


def test_library_mappings_are_mappings():
    encoding = as_encoding(
        UserDict(input_ids=numpy.array(IDS), image_bounds=numpy.zeros((0, 2), int), position_ids=IDS)
    )
    assert encoding == Encoding(IDS, [], None, {"position_ids": IDS})


def test_subject_encodes_by_its_pipeline():
    one = subject(lambda tokenizer, conversation: {"input_ids": [len(conversation.messages)]}, returns=())
    assert one.encode(Conversation([])).ids == [0]
    with pytest.raises(BadEncoding, match="not returned: labels"):
        subject(lambda tokenizer, conversation: {"input_ids": []}, returns=("labels",)).encode(Conversation([]))


def test_marker_ids_are_those_of_the_vocabulary():
    lacking = ToyTokenizer(specials=("<image>", "</image>", "<slice>", "<pad>"))
    assert subject(tokenizer=lacking).marker_ids == {
        "image_open": 1,
        "image_close": 2,
        "slice_open": 3,
        "placeholder": 4,
    }
