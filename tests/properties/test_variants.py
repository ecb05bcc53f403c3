"""Related conversations and further paths: what must be the same, what must move along."""

IMAGE_SPANS_FAMILY = "variants"


def test_relation(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)
