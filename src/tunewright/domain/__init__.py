"""The nouns: frozen types that import nothing of ours and no framework but pydantic."""
