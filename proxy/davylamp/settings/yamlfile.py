"""A YAML text as a layer: the values, and the line and column of each.

A key that stands twice is refused (YAML would take the last without a word), and so is what no
person would write: a text beyond a mebibyte, or aliases that unfold into more than it.
"""

import yaml

from davylamp.errors import ConfigError
from davylamp.settings.layer import KeyPath, Layer

MAX_BYTES = 1 << 20
_MAX_NODES = 50_000
_MAX_DEPTH = 32


def read_yaml(text: str, where: str) -> Layer:
    """Read a mapping; raise ConfigError with ``where``, line and column of what is none."""
    if len(text) > MAX_BYTES:
        raise ConfigError(f"{where}: larger than {MAX_BYTES} bytes; this is not a configuration")
    try:
        loader = yaml.SafeLoader(text)
        node = loader.get_single_node()
        reading = _Reading(loader, where)
        values = {} if node is None else reading.value(node, (), 0)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = _place(where, mark) if mark is not None else where
        said = ", ".join(part for part in (error.context, error.problem) if part)
        raise ConfigError(f"{place}: not YAML: {said}") from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError(f"{where}: not YAML: {error}") from error
    if values is None:
        values = {}
    if not isinstance(values, dict):
        raise ConfigError(f"{where}:1:1: expected keys and values, as `mode: observe`")
    return Layer(where, values, reading.places)


class _Reading:
    """One walk over the nodes."""

    def __init__(self, loader: yaml.SafeLoader, where: str) -> None:
        self.places: dict[KeyPath, str] = {}
        self._loader = loader
        self._where = where
        self._nodes = 0

    def value(self, node: yaml.Node, path: KeyPath, depth: int) -> object:
        self._nodes += 1
        if self._nodes > _MAX_NODES or depth > _MAX_DEPTH:
            raise self._error(node, "more than a configuration can hold")
        match node:
            case yaml.MappingNode():
                return self._mapping(node, path, depth)
            case yaml.SequenceNode():
                # What is inside a list is told by the list's place: a path of names leads there.
                return [self.value(one, (), depth + 1) for one in node.value]
            case _:
                return self._loader.construct_object(node, deep=True)

    def _mapping(self, node: yaml.MappingNode, path: KeyPath, depth: int) -> dict[str, object]:
        self._loader.flatten_mapping(node)
        found: dict[str, object] = {}
        own: set[str] = set()
        for key_node, value_node in node.value:
            key = self._key(key_node)
            if key in own:
                raise self._error(key_node, f"{key!r} stands here for the second time")
            if not _merged(key_node, node):
                own.add(key)
            below = (*path, key)
            if path or depth == 0:
                self.places[below] = _place(self._where, key_node.start_mark)
            found[key] = self.value(value_node, below if path or depth == 0 else (), depth + 1)
        return found

    def _key(self, node: yaml.Node) -> str:
        key = self._loader.construct_object(node, deep=True)
        if not isinstance(key, str):
            raise self._error(node, f"the key {key!r} is no text; write it in quotes")
        return key

    def _error(self, node: yaml.Node, said: str) -> ConfigError:
        return ConfigError(f"{_place(self._where, node.start_mark)}: {said}")


def _merged(key: yaml.Node, into: yaml.MappingNode) -> bool:
    """Whether a key came by a merge (`<<`), and so stands outside the mapping it is in."""
    return not into.start_mark.index <= key.start_mark.index <= into.end_mark.index


def _place(where: str, mark: yaml.Mark) -> str:
    return f"{where}:{mark.line + 1}:{mark.column + 1}"
