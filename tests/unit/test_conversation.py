import pytest
from hypothesis import given
from hypothesis import strategies as st

from image_spans.conversation import Conversation, Image, Message, Text, parse_conversation, resized

PARTS = st.one_of(st.builds(Text, st.text()), st.builds(Image, st.integers(1, 9999), st.integers(1, 9999)))
MESSAGES = st.builds(Message, st.text(min_size=1), st.lists(PARTS, max_size=3))
CONVERSATIONS = st.builds(Conversation, st.lists(MESSAGES, max_size=3))


@given(CONVERSATIONS)
def test_repr_pastes_back(conversation):
    assert parse_conversation(repr(conversation)) == conversation
    assert hash(parse_conversation(repr(conversation))) == hash(conversation)


def test_images_are_those_of_the_parts_unless_given():
    message = Message("user", [Image(1, 2), Text("a"), Image(3, 4)])
    assert Conversation([message]).images == (Image(1, 2), Image(3, 4))
    other = Conversation([message], images=[Image(5, 6)])
    assert other.images == (Image(5, 6),)
    assert other != Conversation([message])
    assert repr(other).endswith("], images=[Image(5, 6)])")
    assert parse_conversation(repr(other)) == other


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("", "not a Conversation(...)"),
        ("Conversation([)", "not a Conversation(...)"),
        ("[]", "expected Conversation(...), found list"),
        ("Image(1, 1)", "expected Conversation(...), found Image"),
        ("__import__('os').system('x')", "column 1: \"__import__('os').system('x')\" is not a"),
        ("Conversation([Message('user', [Image(1.5, 1)])])", "column 38"),
        ("Conversation([Message('user', [Image(0, 1)])])", "the width of an Image is a whole number from 1, not 0"),
        ("Conversation([Message('user', ['a'])])", "a Message holds Text and Image parts, not 'a'"),
        ("Conversation([Message('', [])])", "the role of a Message is a non-empty str"),
        ("Conversation([Text(1)])", "Text takes a str, not 1"),
        ("Conversation([Text('a')])", "a Conversation holds Message objects, not Text('a')"),
        ("Conversation([], images=['a'])", "the images of a Conversation are Image objects, not 'a'"),
        ("Conversation([], colour=1)", "colour"),
        ("Conversation(open('x'))", "column 14"),
        ("(" * 500 + ")" * 500, "not a Conversation(...)"),
    ],
)
def test_nothing_else_is_read(source, said):
    with pytest.raises(ValueError) as error:
        parse_conversation(source)
    assert said in str(error.value)


def test_formats():
    conversation = Conversation([Message("user", [Text("a"), Image(1, 1)]), Message("user", [Image(2, 2)])])
    assert conversation.to_messages() == [
        {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "image"}]},
        {"role": "user", "content": [{"type": "image"}]},
    ]
    assert [m["content"] for m in conversation.to_messages("tag", tag="<i>")] == ["a<i>", "<i>"]
    assert [m["content"] for m in conversation.to_messages("numbered")] == ["a<image_00>", "<image_01>"]
    with pytest.raises(ValueError, match="unknown message format 'html'; known: parts, tag, numbered"):
        conversation.to_messages("html")


def test_pictures_are_blank_and_made_once():
    one, other = Conversation([Message("user", [Image(3, 2), Image(3, 2)])]).pil_images()
    assert one is other
    assert one.size == (3, 2)


def test_resized():
    conversation = Conversation([Message("user", [Image(1, 1), Text("a"), Image(2, 2)])])
    assert resized(conversation, [Image(5, 5), Image(6, 6)]).images == (Image(5, 5), Image(6, 6))


def test_frozen():
    with pytest.raises(AttributeError):
        Image(1, 1).width = 2
