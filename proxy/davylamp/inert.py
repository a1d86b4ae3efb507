"""Text from strangers, as a terminal and a reader of lines may have it."""


def inert(text: str) -> str:
    """Return the text with U+FFFD for what a terminal or a reader of lines would act on."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
