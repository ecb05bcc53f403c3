"""Several conversations in one batch: padding, and what must move along with it."""

IMAGE_SPANS_FAMILY = "batch"


def test_batch(subject, position, check, image_spans_session, request):
    image_spans_session.verify(subject, position, check, request.node.nodeid)
