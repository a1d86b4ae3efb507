"""Mining messages as other people's words: what speaks of mining and does none.

Documents, prompts, logs and pull requests quote Stratum all day. A quotation inside a JSON string
or behind a log line's time is no message wherever it stands; a document of many lines is none as an
HTTP body or a WebSocket message, which is one value or none. (A bare TCP stream of lines is read by
its lines, so a document sent that way is not asked for here; docs/accuracy.md says so.)
"""

import json
from collections.abc import Iterable, Iterator

from davylamp.accuracy.examples import Example, Message
from davylamp.flow import Direction


def quotations(mining: Iterable[Example]) -> Iterator[Example]:
    """Yield near misses that quote the first example of each signature of JSON: three for each."""
    quoted: set[str] = set()
    for example in mining:
        if example.signature is None or not example.is_json or example.signature in quoted:
            continue
        quoted.add(example.signature)
        text = b"\n".join(message.text for message in example.messages).decode()
        prompt = {"model": "m-1", "messages": [{"role": "user", "content": f"Explain: {text}"}]}
        name = f"quoting {example.name}"
        yield Example(f"{name}, in a prompt", _said(json.dumps(prompt), is_json=True))
        yield Example(f"{name}, in a log", _said(f"2026-03-01T10:00:00Z INFO sent {text}\n"))
        document = f"# How a miner speaks\n\nIt sends\n\n{text}\n\nand waits.\n"
        yield Example(f"{name}, in a document", _said(document), is_document=True)


def _said(text: str, *, is_json: bool = False) -> tuple[Message, ...]:
    line_end = b"\n" if is_json else b""
    return (Message(Direction.ORIGINATOR, text.encode(), line_end, is_json=is_json),)
