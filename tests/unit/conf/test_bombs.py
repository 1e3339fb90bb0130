"""Files made to hang or crash a reader, and files that are merely broken: each loads or gives a ConfigError, in bounded work."""

from __future__ import annotations

import difflib

import msgspec
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from efsupervisor.conf import nodes
from efsupervisor.conf.findings import Findings
from efsupervisor.conf.loader import parse
from efsupervisor.conf.nodes import MAX_BYTES, MAX_DEPTH, compose
from efsupervisor.errors import ConfigError

GOOD = """\
# 한국어
supervisor: {var: ../var, log_level: info}
tasks:
  읽기:
    command: tail -F 'a b'
    environment: {A: 22:22, B: "\\u00e9"}
    exitcodes: [0, 2]
  store:
    command:
      - cat
    umask: 0022
    input:
      protocol: event
      window: 8
    output: {keep_bytes: 1GiB, keep_age_s: 1d}
flows:
  f:
    from: 읽기
    to: [store]
    mode: broad
""".encode()


def findings_of(data: bytes) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(data, "f.yaml")
    assert caught.value.findings
    return caught.value.findings


def loads_or_is_refused(data: bytes) -> bool:
    """True when it loads.  Any other exception than ConfigError fails the test."""
    try:
        config = parse(data, "f.yaml")
    except ConfigError as error:
        assert error.findings
        assert all(sentence.startswith("f.yaml:") and "\n" not in sentence for sentence in error.findings)
        return False
    assert msgspec.json.decode(msgspec.json.encode(config), type=type(config)) == config
    return True


def test_the_bomb_of_442_bytes_is_refused() -> None:
    lines = ["a0: &a0 [x,x,x,x,x,x,x,x,x]"]
    lines += [f"a{level}: &a{level} [{','.join([f'*a{level - 1}'] * 9)}]" for level in range(1, 9)]
    data = "\n".join(lines).encode()
    assert len(data) < 500
    findings = findings_of(data)
    assert "f.yaml:1: a0: anchors (&a0) are not allowed" in findings
    assert "f.yaml:2: a1[0]: aliases (*a0) are not allowed; write the value out" in findings


def test_the_bomb_of_merge_keys_is_refused() -> None:
    lines = ["a0: &a0 {k: v}"] + [f"a{level}: &a{level} {{<<: [{','.join([f'*a{level - 1}'] * 9)}]}}" for level in range(1, 12)]
    assert "f.yaml:2: a1.<<: merge keys are not allowed; write the values out" in findings_of("\n".join(lines).encode())


@pytest.mark.parametrize(
    "bomb", ["[" * 100_000, "{a: " * 100_000, "- " * 100_000, "? " * 100_000, "\n".join(" " * level + "a:" for level in range(1000))]
)
def test_depth_is_refused_at_the_33rd_level_and_the_rest_is_never_scanned(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    scanned: list[int] = []
    original = yaml.SafeLoader.fetch_more_tokens

    def counted(self: yaml.SafeLoader) -> None:
        scanned.append(1)
        original(self)

    monkeypatch.setattr(yaml.SafeLoader, "fetch_more_tokens", counted)
    (finding,) = findings_of(bomb.encode())
    assert f"is nested deeper than {MAX_DEPTH} levels" in finding
    assert len(scanned) < 2000


def test_depth_up_to_the_limit_is_read() -> None:
    findings = Findings("f.yaml")
    assert compose(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH, findings).whole
    assert not findings
    assert not compose(b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), findings).whole


def test_the_number_of_nodes_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    assert nodes.MAX_NODES == 50_000
    monkeypatch.setattr(nodes, "MAX_NODES", 1000)
    findings = Findings("f.yaml")
    assert compose(b"[" + b"a," * 999 + b"]", findings).whole
    assert not compose(b"[" + b"a," * 1000 + b"]", findings).whole
    assert findings.sentences() == ["f.yaml:1: [999]: a configuration has at most 1,000 keys and values; this is one more"]


def test_a_file_over_one_mebibyte_is_refused_unread() -> None:
    assert findings_of(b"#" * (MAX_BYTES + 1)) == ["f.yaml: is larger than a configuration may be (1,048,576 bytes)"]
    assert findings_of(b"#" * MAX_BYTES) == ["f.yaml: says nothing: it is empty, or its content was lost"]


def test_a_stack_that_is_nearly_full_is_a_finding(monkeypatch: pytest.MonkeyPatch) -> None:
    def overflow(self: object) -> object:
        raise RecursionError

    monkeypatch.setattr(yaml.SafeLoader, "get_event", overflow)
    assert findings_of(GOOD) == ["f.yaml:1: is nested too deeply to be read here"]


def test_a_thousand_unknown_names_among_thousands_of_tasks_cost_bounded_comparisons(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    original = difflib.get_close_matches

    def counted(word: str, known: dict[str, str], n: int, cutoff: float) -> list[str]:
        compared.append(len(known))
        return original(word, known, n=n, cutoff=cutoff)

    monkeypatch.setattr(difflib, "get_close_matches", counted)
    tasks = "".join(f"  t{number}: {{command: a}}\n" for number in range(3000))
    unknown = ", ".join(f"u{number}" for number in range(1000))
    findings = findings_of(f"tasks:\n{tasks}flows:\n  f: {{from: t1, to: [{unknown}]}}\n".encode())
    assert findings[-1] == "f.yaml: 900 more findings are not shown"
    assert 0 < sum(compared) <= 100 * 500


def test_a_good_file_cut_at_any_byte_loads_or_is_refused() -> None:
    assert loads_or_is_refused(GOOD)
    loaded = sum(loads_or_is_refused(GOOD[:length]) for length in range(len(GOOD)))
    assert 0 < loaded < len(GOOD) // 2


PIECES = st.sampled_from(
    [b"", b" ", b"\n", b"\t", b":", b": ", b"- ", b"[", b"]", b"{", b"}", b",", b"'", b'"', b"|", b">", b"&a ", b"*a", b"!!", b"!<x>", b"#", b"---\n",
     b"%YAML 1.1\n", b"...\n", b"<<: ", b"? ", b"\\", b'"\\x', b'"\\UFFFFFFFF"', b"\0", b"\xff", b"\xc2\x85", b"\xe2\x80\xa8", b"~", b"1e999", b"-",
     b"9" * 5000, b"\r", b"%TAG ! x\n", b"|2-\n", b"!%41%ff"]
)  # fmt: skip
MUTATIONS = st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 12), PIECES | st.binary(max_size=4)), min_size=1, max_size=4)


@settings(max_examples=250, deadline=None)
@given(MUTATIONS)
@example([(0, 0, b"%YAML 1." + b"9" * 5000 + b"\n---\n")])
@example([(0, len(GOOD), b'"\\UFFFFFFFF"')])
def test_a_good_file_with_some_bytes_changed_loads_or_is_refused(mutations: list[tuple[int, int, bytes]]) -> None:
    data = bytearray(GOOD)
    for at, removed, piece in mutations:
        data[at : at + removed] = piece
    loads_or_is_refused(bytes(data))


@settings(max_examples=250, deadline=None)
@given(st.lists(PIECES | st.sampled_from([b"tasks:\n", b"  a:\n", b"    command: ", b"flows:\n", b"x"]), max_size=25).map(b"".join))
def test_any_heap_of_yaml_pieces_loads_or_is_refused(data: bytes) -> None:
    loads_or_is_refused(data)
