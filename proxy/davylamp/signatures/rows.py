"""The rows of a pack's lists: one tab-separated line an entry, ``#`` before a comment."""

from collections.abc import Iterator, Sequence

from davylamp.errors import PackError

MAX_ENTRIES = 1_000_000


def rows(data: bytes, file: str, columns: Sequence[str]) -> Iterator[tuple[int, str, list[str]]]:
    """Yield each row's line number, its place for messages, and its cells, one for each column.

    Raises PackError naming the line that has another number of cells, or the file that is no list.
    """
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise PackError(f"{file}: not UTF-8: save the file as UTF-8") from error
    if len(lines) > MAX_ENTRIES:
        raise PackError(f"{file}: more than {MAX_ENTRIES:,} lines; split the list")
    for number, line in enumerate(lines, 1):
        if not line or line[0] == "#":
            continue
        where, cells = f"{file}:{number}:1", line.split("\t")
        if len(cells) != len(columns):
            raise PackError(
                f"{where}: {len(cells)} columns; write {len(columns)} separated by tabs: "
                + ", ".join(columns)
            )
        yield number, where, cells
