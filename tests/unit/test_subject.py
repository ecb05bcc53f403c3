import numpy
import pytest

from image_spans.subject import BadEncoding, Encoding, as_encoding

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
