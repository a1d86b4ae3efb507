"""``davylamp pack``: what its subcommands print, and with which status they end."""

import json
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.handshakes import V12, handshake

from davylamp.cli import main
from davylamp.lab.programs.certs import self_signed
from davylamp.proving.scaffold import PLACEHOLDER
from davylamp.signatures.schema import signature_schema

RECORDED = Path(__file__).parents[1] / "data" / "near-misses"


def pack(*words: str | Path, stdin: str = "") -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["pack", *map(str, words)], input=stdin)


@pytest.fixture
def made(tmp_path: Path) -> Path:
    """Return a pack with a scaffold of each form."""
    root = tmp_path / "made"
    for form in ("json", "line", "bytes", "http", "certificate"):
        assert pack("new", f"toy-{form}", "--pack", root, "--form", form).exit_code == 0
    return root


def change(file: Path, old: str, new: str) -> None:
    """Replace a text in a file, where it must be."""
    text = file.read_text("utf-8")
    assert old in text
    file.write_text(text.replace(old, new), "utf-8")


def test_a_scaffold_passes_and_a_change_of_it_fails(made: Path) -> None:
    """What `pack new` writes is proved at once; a signature that no longer fits is named."""
    result = pack("test", made)
    assert result.exit_code == 0, result.output
    assert result.output.count("  SUCCESS: toy-") == 5
    assert result.output.splitlines()[-1] == "SUCCESS"
    change(made / "toy" / "toy-line.yaml", "digits:1-9", "hex:64")
    result = pack("test", made)
    assert result.exit_code == 1
    assert "  FAILED: toy-line\n" in result.output
    assert f"{made}/vectors/toy/toy-line.yaml:2:3: 'a greeting', fed byte by byte" in result.output
    assert "        exp: a match of toy-line\n        got: nothing\n" in result.output
    found = json.loads(pack("test", made, "--json", "--only", "toy-line").output)
    assert found["failed"] is True
    assert [one["id"] for one in found["signatures"]] == ["toy-line"]
    assert found["cost"]["ratio"] > 0
    misspelt = pack("test", made, "--only", "toy-lime")
    assert misspelt.exit_code == 2
    assert "did you mean 'toy-line'?" in misspelt.output


def test_a_failure_says_why(made: Path) -> None:
    """The messages of an example that should match are held against its signature."""
    change(made / "toy" / "toy-line.yaml", "digits:1-9", "hex:64")
    change(made / "vectors" / "toy" / "toy-json.yaml", "toy.hello", "toy.halo")
    change(made / "toy" / "toy-bytes.yaml", "from: client", "from: server")
    said = pack("test", made).output
    assert 'why:   fields[2]: asked for hex:64, got "64" (toy/toy-line.yaml:21:37)' in said
    assert "        why:   method: asked for 'toy.hello', got \"toy.halo\"\n" in said
    assert "        why: the example has no bytes of the server\n" in said


def test_both_kinds_of_vectors_are_required(made: Path) -> None:
    """A signature without a near miss fails, with the place of the signature; so do strays."""
    change(made / "vectors" / "toy" / "toy-http.yaml", "expect: none", "expect: match")
    shutil.copy(made / "vectors/toy/toy-json.yaml", made / "vectors/toy/toy-gone.yaml")
    result = pack("test", made)
    assert result.exit_code == 1
    assert f"{made}/toy/toy-http.yaml:2:1: its vectors\n" in result.output
    assert "exp: at least one near miss ('expect: none')" in result.output
    assert "exp: a signature 'toy-gone' that these vectors are for" in result.output


def test_ordinary_traffic_must_stay_silent(made: Path, tmp_path: Path) -> None:
    """A capture or a vector file in which something is found fails; what cannot be read is 2."""
    captures = sorted(RECORDED.glob("*.pcap*"))
    assert captures
    chat = tmp_path / "benign" / "chat.yaml"
    chat.parent.mkdir()
    chat.write_text(
        '- {name: chat, source: made up, expect: none, stream: [{client: "TOY,8,1\\n"}]}\n', "utf-8"
    )
    quiet = pack("test", made, "--benign", chat.parent, "--benign", captures[0])
    assert quiet.exit_code == 0, quiet.output
    assert f"  SUCCESS: {captures[0]}\n" in quiet.output
    change(made / "toy" / "toy-line.yaml", "wallet, ", "any, ")
    loud = pack("test", made, "--benign", chat.parent)
    assert loud.exit_code == 1
    assert "    'chat' fed whole: toy-line\n" in loud.output
    (tmp_path / "broken.pcap").write_bytes(b"no capture")
    assert pack("test", made, "--benign", tmp_path / "broken.pcap").exit_code == 2


def test_a_pack_that_does_not_compile_is_bad_input(made: Path) -> None:
    """One line says where and what, with status 2."""
    change(made / "toy" / "toy-line.yaml", "wallet", "walet")
    for name in ("test", "lint"):
        result = pack(name, made)
        assert result.exit_code == 2
        assert "toy/toy-line.yaml:21:29: 'walet' is not a shape; did you mean 'wallet'" in (
            result.output
        )


def test_lint_says_what_a_reviewer_would(made: Path) -> None:
    """The scaffold's source, missing techniques and vectors, and expired rows are remarked on."""
    for file in (made / "toy").iterdir():
        change(file, PLACEHOLDER, "https://toy.example/protocol")
    assert pack("lint", made).exit_code == 0
    change(made / "toy" / "toy-line.yaml", "https://toy.example/protocol", PLACEHOLDER)
    change(made / "toy" / "toy-json.yaml", "technique: T1496.001\n", "")
    (made / "vectors" / "toy" / "toy-json.yaml").unlink()
    (made / "lists").mkdir()
    (made / "lists" / "old.tsv").write_text(
        "198.51.100.7\t3333\ttcp\tprobable\tXMR\tP\tmade up\t2020-01-01\t2020-06-30\n", "utf-8"
    )
    result = pack("lint", made, "--json")
    assert result.exit_code == 1
    said = {one["says"].partition(":")[0].partition(";")[0] for one in json.loads(result.output)}
    assert said == {
        "https",  # of the placeholder
        "no technique",
        "no vectors",
        "no signature asks for this list",
        "1 of 1 entries have expired",
    }


def test_lint_finds_signatures_that_make_each_other_slow(made: Path) -> None:
    """Fifty signatures that only a regular member tells apart are looked up under the same."""
    text = (made / "toy" / "toy-json.yaml").read_text("utf-8")
    for number in range(50):
        copy = text.replace("id: toy-json", f"id: toy-{number}")
        (made / "toy" / f"toy-{number}.yaml").write_text(copy, "utf-8")
    assert "51 signatures are looked up under the same: method 'toy.hello'" in (
        pack("lint", made).output
    )


def test_lint_finds_a_signature_that_another_silences(made: Path) -> None:
    """Of two that ask for one list in one place the surer answers, whatever the other may do."""
    (made / "lists").mkdir()
    row = "a.example\tendpoint\tprobable\t-\tP\tmade up\t2026-01-01\n"
    (made / "lists" / "names.tsv").write_text(row, "utf-8")
    text = (made / "toy" / "toy-json.yaml").read_text("utf-8").partition("when:")[0]
    for name, confidence in (("a", 60), ("b", 65)):
        own = text.replace("id: toy-json", f"id: {name}").replace(": 70", f": {confidence}")
        when = f"{own}when: {{name: {{field: tls.sni, list: names}}}}\n"
        (made / "toy" / f"{name}.yaml").write_text(when, "utf-8")
    said = [line for line in pack("lint", made).output.splitlines() if "never told" in line]
    assert said == [
        f"{made}/toy/a.yaml:2:1: b asks for the same list and is surer: this one is never told"
    ]


def test_diff_wants_a_higher_rev_for_another_meaning(made: Path, tmp_path: Path) -> None:
    """Rewording is free; a changed condition without a higher rev ends with status 1."""
    new = tmp_path / "new"
    shutil.copytree(made, new)
    assert pack("diff", made, new).output == "no difference\n"
    change(new / "toy" / "toy-http.yaml", "title: Toy", "title: The toy")
    (new / "toy" / "toy-bytes.yaml").unlink()
    assert pack("new", "toy-more", "--pack", new).exit_code == 0
    result = pack("diff", made, new)
    assert result.exit_code == 0
    assert [line[:10] for line in result.output.splitlines()] == [
        "- toy-byte",
        "= toy-http",
        "+ toy-more",
    ]
    change(new / "toy" / "toy-line.yaml", "digits:1-9", "digits:1-8")
    result = pack("diff", made, new)
    assert result.exit_code == 1
    assert "ERROR: its meaning changed and its rev did not; write rev: 2" in result.output
    change(new / "toy" / "toy-line.yaml", "rev: 1", "rev: 2")
    assert pack("diff", made, new).exit_code == 0
    back = pack("diff", new, made, "--json")
    assert back.exit_code == 1
    assert "went back from 2 to 1" in back.output


def test_explain_says_what_did_not_fit(made: Path) -> None:
    """It shows the condition, its place in the index, and of a message the part that differs."""
    result = pack("explain", "stratum-v1-submit")
    assert result.exit_code == 0
    assert "  method 'mining.submit', params is a list of the length 6" in result.output
    line = '{"method": "mining.submit", "params": ["w", "4f", "00", "5e8f3a1z", "1a2b3c4d"]}\n'
    result = pack("explain", "stratum-v1-submit", "--trace", "-", stdin=line)
    assert result.exit_code == 1
    assert 'params[3]: asked for hex:8-16, got "5e8f3a1z" (stratum/' in result.output
    fits = pack(
        "explain", "stratum-v1-submit", "--trace", "-", "--json", stdin=line.replace("z", "0")
    )
    assert fits.exit_code == 0
    assert json.loads(fits.output)["trace"][0]["fits"] is True
    toy = pack("explain", "toy-line", "--pack", made, "--trace", "-", stdin="TOY,a,7\nhi\n")
    assert 'fields[1]: asked for wallet, got "a"' in toy.output
    assert "starts_with: it does not begin with 'TOY,'" in toy.output
    cut = pack("explain", "toy-line", "--pack", made, "--trace", "-", stdin="TOY,a,7")
    assert "no line break follows" in cut.output
    head = pack("explain", "toy-http", "--pack", made, "--trace", "-", stdin="GET / HTTP/1.1\n\n")
    assert (head.exit_code, "davylamp pack test runs it" in head.output) == (2, True)
    unknown = pack("explain", "stratum-v1-submi")
    assert unknown.exit_code == 2
    assert "did you mean 'stratum-v1-submit'" in unknown.output


def test_new_writes_over_nothing(made: Path, tmp_path: Path) -> None:
    """An id that is taken, a bad one and a folder that is no pack are refused."""
    for words, message in (
        (("toy-line", "--pack", made), "there already"),
        (("Toy", "--pack", made), "lower-case words"),
        (("toy--a", "--pack", made), "lower-case words"),
        (("toy-", "--pack", made), "lower-case words"),
        (("toy", "--pack", made, "--family", "../x"), "lower-case words"),
        (("vectors-toy", "--pack", made), "name another with --family"),
        (("toy", "--pack", made / "toy"), "not a pack"),
    ):
        result = pack("new", *words)
        assert result.exit_code == 2
        assert message in result.output
    assert not (tmp_path / "x").exists()
    odd = tmp_path / "my: pack"
    assert pack("new", "toy", "--pack", odd).exit_code == 0
    assert pack("test", odd).exit_code == 0


def test_schema_prints_what_editors_need() -> None:
    """The schema comes as JSON, the reference as Markdown."""
    assert json.loads(pack("schema").output) == signature_schema()
    assert pack("schema", "--markdown").output.startswith("# Signature reference\n")


def test_a_certificate_is_held_against_its_signature(made: Path, tmp_path: Path) -> None:
    """In PEM, or as a server sent it; one that asks for an issuer alone is remarked."""
    shown = self_signed(tmp_path, ["rig.toy.example"]).chain
    result = pack("explain", "toy-certificate", "--pack", made, "--trace", shown)
    assert (result.exit_code, "rig.toy.example" in result.output) == (0, True), result.output
    other = self_signed(tmp_path, ["shop.example"])
    (tmp_path / "flight").write_bytes(handshake(other, V12)[1][1])
    result = pack("explain", "toy-certificate", "--pack", made, "--trace", tmp_path / "flight")
    assert result.exit_code == 1
    assert "name: asked for toy.example or *.toy.example, got shop.example" in result.output
    file = made / "toy" / "toy-certificate.yaml"
    change(file, 'name: [toy.example, "*.toy.example"]\n    self_signed: true', "issuer: x")
    assert "asks for an issuer alone" in pack("lint", made).output
