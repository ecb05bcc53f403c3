"""What a run tells continuous integration: a summary in Markdown, annotations of GitHub, properties in JUnit's XML."""
