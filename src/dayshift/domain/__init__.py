"""The nouns: words, states and shapes that every room shares. Imports the standard library and msgspec only."""
