"""The rule that stands in for a tokenizer: a token is four characters.

Prompt tokens are all characters of the prompt's texts (and of the tools' JSON) divided by four, rounded up, at least 1.
An answer is cut into pieces of four characters; a stream sends one piece an event, so its length in events, its
pace and its usage all agree. cached_tokens are always 0.
"""

CHARACTERS_PER_TOKEN = 4


def count_tokens(characters: int) -> int:
    """How many tokens so many characters are."""
    return max(1, -(-characters // CHARACTERS_PER_TOKEN))


def cut_into_tokens(text: str) -> list[str]:
    """The text as pieces of one token each; no text is no piece."""
    return [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]
