"""One metric a file. A file here is found by its name; nothing else has to be told of it."""
