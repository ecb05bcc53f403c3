"""A clone works without being installed: pyproject.toml puts src on the path, this loads the plugin from it."""

pytest_plugins = ["image_spans.plugin", "pytester"]
