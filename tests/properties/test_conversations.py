"""Ordinary conversations: BOS, spans, slots, order, bounds and text."""

IMAGE_SPANS_FAMILY = "single"


def test_conversation(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)
