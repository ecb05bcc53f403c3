"""The lock: does every subject behave as it was recorded?"""

IMAGE_SPANS_FAMILY = "lock"


def test_locked(subject, image_spans_session, request):
    image_spans_session.compare_with_lock(subject, request.node.nodeid)
