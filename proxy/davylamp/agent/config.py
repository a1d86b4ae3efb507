"""The agent's configuration, in a file of its own (docs/lineage.md, "Gateways elsewhere")."""

from pathlib import Path

from davylamp.config import DockerConfig, Section, yaml_layer
from davylamp.settings.settle import settle


class AgentConfig(Section, frozen=True, kw_only=True):
    """The whole.

    ``name`` is the host's among all; ``addresses`` are those that its sandboxes leave under.
    """

    redis: str = ""
    name: str = ""
    addresses: tuple[str, ...] = ()
    docker: DockerConfig = DockerConfig(enabled=True)


def load_agent_config(path: Path) -> AgentConfig:
    """Read an agent's configuration file; raise ConfigError when it cannot be read or used."""
    return settle((yaml_layer(path),), AgentConfig).config
