"""The key that wallets are marked with."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from davylamp.errors import ConfigError
from davylamp.incidents.place import wallet_key


def test_workers_that_start_at_once_have_one_key(tmp_path: Path) -> None:
    """Whoever makes it, all read the same, and nobody else may read it."""
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: wallet_key(tmp_path / "state"), range(8)))
    assert len(keys) == 1
    assert [path.name for path in (tmp_path / "state").iterdir()] == ["wallet.key"]
    assert (tmp_path / "state" / "wallet.key").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [b"", b"short"])
def test_a_key_that_is_none_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is cut off would mark every wallet in another way, unnoticed."""
    (tmp_path / "wallet.key").write_bytes(content)
    with pytest.raises(ConfigError, match="remove it"):
        wallet_key(tmp_path)
