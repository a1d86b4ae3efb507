"""Words for people: what strangers write made harmless, and numbers of things."""


def inert(text: str) -> str:
    """Return the text with U+FFFD for what a terminal or a reader of lines would act on."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)


def counted(number: int, word: str) -> str:
    """Return how many there are of what a word names."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def clock(timestamp: str) -> str:
    """Return an event's timestamp (UTC) as people read it, to the millisecond."""
    return timestamp[:23].replace("T", " ") + "Z"


def endpoint(host: str, port: int) -> str:
    """Return ``host:port`` as commands take it, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
