"""From configuration to the sources of lineage that it asks for.

Apart from `wiring`, which every worker imports: engines' clients cost a process half a second.
"""

from davylamp.attribution.sources.docker import DockerSettings, DockerSource
from davylamp.attribution.sources.kubernetes import KubernetesSettings, KubernetesSource
from davylamp.attribution.sources.rock import RockSource
from davylamp.attribution.sources.source import Source
from davylamp.config import DockerConfig, GatewayConfig, KubernetesConfig
from davylamp.engines.docker import DockerEngine
from davylamp.engines.kubernetes import KubernetesApi

_ANSWER_SECONDS = 30.0


def sources_of(config: GatewayConfig) -> tuple[Source, ...]:
    """Return who tells lineage what runs; raise ConfigError for an address that is none."""
    asked = config.lineage.sources
    found: list[Source] = []
    if asked.docker.enabled:
        found.append(docker_source(asked.docker))
    if asked.kubernetes.enabled:
        found.append(_kubernetes_source(asked.kubernetes))
    if asked.rock.enabled:
        found.append(RockSource(asked.rock.url))
    return tuple(found)


def docker_source(config: DockerConfig) -> DockerSource:
    """Return a Docker engine as a source; raise ConfigError for an address that is none."""
    offset = config.clock_offset_seconds
    settings = DockerSettings(
        networks=frozenset(config.networks),
        names={str(name): label for name, label in config.labels.items()},
        clock_offset=None if offset == "auto" else offset,
    )
    return DockerSource(DockerEngine(config.url), settings)


def _kubernetes_source(config: KubernetesConfig) -> KubernetesSource:
    api = KubernetesApi(
        config.url, token_file=config.token_file, ca=config.ca, seconds=_ANSWER_SECONDS
    )
    settings = KubernetesSettings(
        namespace=config.namespace,
        selector=config.selector,
        names={str(name): label for name, label in config.labels.items()},
    )
    return KubernetesSource(api, config.url, settings)
