"""The words that name a JSON value's type: ``string``, ``hex:64``, ``wallet``.

A test looks at each character at most a few times, whatever it is shown.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from davylamp.signatures.source import Place, fault, suggest
from davylamp.signatures.vocabulary import is_algo, is_miner_agent
from davylamp.signatures.wallets import find_wallet, names_worker

type Test = Callable[[object], bool]

SIZE_PATTERN = "[0-9]{1,6}(-[0-9]{0,6})?"
"""How a size is written."""

_HEX = "0123456789abcdefABCDEF"


@dataclass(frozen=True, slots=True)
class _Size:
    """Length limits of a sized word; ``high`` None is no limit."""

    low: int
    high: int | None

    def holds(self, length: int) -> bool:
        return self.low <= length and (self.high is None or length <= self.high)


_ANY_SIZE = _Size(0, None)


@dataclass(frozen=True, slots=True)
class Word:
    """A word without a size; ``says`` what a value is that it names."""

    test: Test
    says: str


@dataclass(frozen=True, slots=True)
class SizedWord:
    """A word that takes a size; ``says`` what a value is that it names, and what is counted."""

    sized: Callable[[_Size], Test]
    says: str


def words() -> Iterator[tuple[str, str, bool]]:
    """Yield each word with what it says, and whether it takes a size."""
    for name, word in _PLAIN.items():
        yield name, word.says, False
    for name, sized in _SIZED.items():
        yield name, sized.says, True


def is_anything(value: object) -> bool:  # noqa: ARG001 - a test like the others
    """Accept every value."""
    return True


def compile_word(word: str, place: Place) -> Test:
    """Return the test of one word; raise PackError that says what to write instead."""
    if word.endswith("?"):
        raise fault(place, f"{word!r}: a '?' has a meaning only on a list item or a member's name")
    name, colon, size = word.partition(":")
    if name in _SIZED:
        return _SIZED[name].sized(_size(size, place) if colon else _ANY_SIZE)
    if name not in _PLAIN:
        known = [*_PLAIN, *_SIZED]
        hint = suggest(name, known)
        raise fault(place, f"{name!r} is not a shape; {hint} (a fixed value is {{$const: ...}})")
    if colon:
        raise fault(place, f"{name!r} takes no size; write {name!r} alone")
    return _PLAIN[name].test


def _size(text: str, place: Place) -> _Size:
    low, dash, high = text.partition("-")
    if not re.fullmatch(SIZE_PATTERN, text, re.ASCII):
        raise fault(place, f"{text!r} is not a size; write 8 (exactly), 8-16 or 8- (at least)")
    if not dash:
        return _Size(int(low), int(low))
    size = _Size(int(low), int(high) if high else None)
    if size.high is not None and size.high < size.low:
        raise fault(place, f"{text!r} is empty; write the smaller number first")
    return size


def _string(size: _Size) -> Test:
    return lambda value: isinstance(value, str) and size.holds(len(value))


def _hex(size: _Size) -> Test:
    # str.strip is one pass over the string: what is left is empty when all of it is hexadecimal.
    return lambda value: isinstance(value, str) and size.holds(len(value)) and not value.strip(_HEX)


def _prefixed_hex(size: _Size) -> Test:
    return lambda value: (
        isinstance(value, str)
        and size.holds(len(value) - 2)
        and value.startswith(("0x", "0X"))
        and not value[2:].strip(_HEX)
    )


def _wallet(size: _Size) -> Test:
    def test(value: object) -> bool:
        wallet = find_wallet(value) if isinstance(value, str) else None
        return wallet is not None and size.holds(len(wallet.address))

    return test


def _digits(size: _Size) -> Test:
    return lambda value: isinstance(value, str) and size.holds(len(value)) and _is_decimal(value)


def _is_decimal(text: str) -> bool:
    return text.isascii() and text.isdigit()


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_PLAIN: dict[str, Word] = {
    "any": Word(is_anything, "anything"),
    "number": Word(_is_number, "a number"),
    "integer": Word(_is_integer, "a number without a fraction as JSON writes it"),
    "bool": Word(lambda value: isinstance(value, bool), "`true` or `false`"),
    "null": Word(lambda value: value is None, "`null`"),
    "object": Word(lambda value: isinstance(value, dict), "an object"),
    "agent": Word(
        lambda value: isinstance(value, str) and is_miner_agent(value),
        "a string that begins with the name of a mining program",
    ),
    "algo": Word(
        lambda value: isinstance(value, str) and is_algo(value),
        "a CryptoNote-family algorithm name, as `rx/0`",
    ),
    "worker": Word(
        lambda value: isinstance(value, str) and names_worker(value),
        "a string of a coin address, a dot and a worker's name, as `ADDRESS.rig7`",
    ),
}

_SIZED: dict[str, SizedWord] = {
    "string": SizedWord(_string, "a string, of that many characters"),
    "hex": SizedWord(_hex, "a string of hexadecimal digits, of that many"),
    "0xhex": SizedWord(_prefixed_hex, "the same after `0x`; the size counts the digits"),
    "digits": SizedWord(_digits, "a string of decimal digits, of that many"),
    "array": SizedWord(
        lambda size: lambda value: isinstance(value, list) and size.holds(len(value)),
        "a list, of that many items",
    ),
    "wallet": SizedWord(
        _wallet,
        "a string that begins with a coin address (of that many characters), whatever worker name"
        " follows",
    ),
}
