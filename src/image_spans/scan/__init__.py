"""A pre-flight of training data: rows of files become conversations, and the suite's checks judge them."""
