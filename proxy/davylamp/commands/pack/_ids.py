"""What the subcommands say where a pack has no signature of an id that was given."""

from difflib import get_close_matches

from davylamp.signatures.pack import Pack


def no_such(identity: str, pack: Pack, hint: str = "") -> str:
    """Return it in words, with the id that may be meant, else with a hint what to do."""
    near = get_close_matches(identity, pack.signatures, n=1)
    what = f"no signature {identity!r} in {pack.name} {pack.version}"
    if near:
        return f"{what}; did you mean {near[0]!r}?"
    return f"{what}{'; ' if hint else ''}{hint}"
