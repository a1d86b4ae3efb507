"""A pack is read from a directory, and nothing outside it."""

import os
from pathlib import Path

import pytest

from davylamp.errors import PackError
from davylamp.signatures.disk import load_directory, load_vectors

MANIFEST = "name: toy\nversion: 2026.1.1\nformat: 1\n"


def test_a_directory_is_a_pack(tmp_path: Path) -> None:
    """Files are taken by their path beneath the directory; hidden ones are left alone."""
    (tmp_path / "pack.yaml").write_text(MANIFEST)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "config").write_text("x")
    (tmp_path / ".swp").write_text("x")
    pack = load_directory(tmp_path)
    assert (pack.name, pack.version, dict(pack.signatures)) == ("toy", "2026.1.1", {})


def test_a_link_out_of_the_pack_is_refused(tmp_path: Path) -> None:
    """A pack cannot make the gateway read another file."""
    outside = tmp_path / "secret.yaml"
    outside.write_text("x: 1\n")
    folder = tmp_path / "pack"
    folder.mkdir()
    (folder / "pack.yaml").write_text(MANIFEST)
    (folder / "leak.yaml").symlink_to(outside)
    with pytest.raises(PackError, match=rf"^{folder}/leak\.yaml: a link out of the pack"):
        load_directory(folder)
    (folder / "leak.yaml").unlink()
    for target in (folder.parent, folder / "nowhere"):
        (folder / "family").symlink_to(target)
        with pytest.raises(PackError, match=r"family: a link to a folder or to nothing"):
            load_directory(folder)
        (folder / "family").unlink()


def test_a_directory_that_is_not_there(tmp_path: Path) -> None:
    """The message says what to give instead."""
    with pytest.raises(PackError, match=r"nowhere: no pack\.yaml in it; a pack has one"):
        load_directory(tmp_path / "nowhere")


def test_vectors_carry_the_id_of_their_file(tmp_path: Path) -> None:
    """Each vector comes with the signature it is about, and a bad one with its place."""
    folder = tmp_path / "family"
    folder.mkdir()
    (folder / "toy-hello.yaml").write_text(
        "- {name: n, source: s, stream: [{client: hi}], expect: none}\n"
    )
    ((identity, vector),) = load_vectors(tmp_path)
    assert (identity, vector.name, vector.fires) == ("toy-hello", "n", False)
    (folder / "toy-hello.yaml").write_text("- {name: n}\n")
    with pytest.raises(PackError, match=rf"^{tmp_path}/family/toy-hello\.yaml:1:3"):
        list(load_vectors(tmp_path))
    (folder / "toy-hello.yaml").unlink()
    os.mkfifo(folder / "toy-hello.yaml")
    with pytest.raises(PackError, match=r"toy-hello\.yaml: not a file"):
        list(load_vectors(tmp_path))
