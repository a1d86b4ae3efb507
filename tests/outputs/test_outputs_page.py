"""What docs/outputs.md shows is what comes out."""

import json
import re
from pathlib import Path

import pytest

from davylamp.events import decode
from davylamp.outputs.renderings.render import Format, renderer

PAGE = Path(__file__).resolve().parents[2] / "docs" / "outputs.md"


@pytest.mark.parametrize("form", list(Format))
def test_the_samples_are_of_one_event(form: Format) -> None:
    """The page's ECS and OCSF samples are its EVE sample, rendered."""
    blocks = re.findall(r"^```json\n(.*?)^```$", PAGE.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    samples = dict(zip(Format, blocks[:3], strict=True))
    event = decode(samples[Format.EVE])
    assert json.loads(renderer(form)(event)) == json.loads(samples[form])
