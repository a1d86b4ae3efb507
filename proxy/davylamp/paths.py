"""Where the files that travel with the code are: the core signature pack and the addons.

In a wheel they sit in ``_data`` beside this file; in a checkout, at its root.
"""

from pathlib import Path

_HERE = Path(__file__).resolve().parent
_INSTALLED = _HERE / "_data"

DATA_ROOT: Path = _INSTALLED if _INSTALLED.is_dir() else _HERE.parents[1]
SIGNATURES: Path = DATA_ROOT / "signatures"
ADDONS: Path = DATA_ROOT / "addons"
