"""The daemon's own section: the parts of the siblings, what must be true between keys, and the settings one by one."""

from __future__ import annotations

import textwrap

import pytest

from efsupervisor.conf.loader import parse
from efsupervisor.conf.schema import PostSpec, ResourceSpec, ResultSpec, SupervisorSpec, WebSpec
from efsupervisor.conf.settings import is_live, is_secret, keys, text_of, value_of, with_setting, with_value
from efsupervisor.errors import Code, ConfigError, EfError


def supervisor(text: str) -> SupervisorSpec:
    return parse(("supervisor:\n" + textwrap.indent(textwrap.dedent(text), "  ")).encode(), "/srv/etc/f.yaml").supervisor


def refusal(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        supervisor(text)
    (finding,) = caught.value.findings
    return finding.removeprefix("/srv/etc/f.yaml:")


def test_every_part_becomes_what_was_written() -> None:
    spec = supervisor("""\
        log_format: json
        services: yes
        heartbeat_s: 500ms
        heartbeat_deadline_s: 3s
        history: 500
        alerts: 0
        web:
          host: 0.0.0.0
          port: 8443
          hosts: [efs.example.org, 10.0.0.7]
          certificate: tls/web.pem
          key: /srv/tls/web.key
          threads: 4
          connections: 100
          request_s: 2s
          idle_s: 1m
          max_header: 8KiB
          max_body: 2MiB
        resource: {interval_s: 1s, keep: 60, url: "https://app.example.org/efs/resource"}
        result: {tasks: [web, "x*"], keep: 5, url: "http://app.example.org:8080/r?x=1", alert_url: "http://localhost:9/a"}
        post: {timeout_s: 1s, retry_max_s: 5s, spool_bytes: 1MiB, batch: 10, allow_private: localhost, token_file: token}
        """)
    assert (spec.log_format, spec.services, spec.heartbeat_s, spec.heartbeat_deadline_s, spec.history, spec.alerts) == (
        "json",
        True,
        0.5,
        3.0,
        500,
        0,
    )
    assert spec.web == WebSpec(
        host="0.0.0.0", port=8443, hosts=["efs.example.org", "10.0.0.7"], certificate="/srv/etc/tls/web.pem", key="/srv/tls/web.key", threads=4,
        connections=100, request_s=2.0, idle_s=60.0, max_header=8 << 10, max_body=2 << 20,
    )  # fmt: skip
    assert spec.resource == ResourceSpec(interval_s=1.0, keep=60, url="https://app.example.org/efs/resource")
    assert spec.result == ResultSpec(tasks=("web", "x*"), keep=5, url="http://app.example.org:8080/r?x=1", alert_url="http://localhost:9/a")
    assert spec.post == PostSpec(
        timeout_s=1.0, retry_max_s=5.0, spool_bytes=1 << 20, batch=10, allow_private=["localhost"], token_file="/srv/etc/token"
    )


def test_a_part_that_is_empty_has_its_defaults() -> None:
    assert supervisor("web:\nresource: {}\n") == SupervisorSpec(var="/srv/var")


REFUSED = [
    ("web: {prot: 1}", '2: supervisor.web.prot: unknown key; did you mean "port"?'),
    ("web: 8080", '2: supervisor.web: must be keys with values (key: value), not the text "8080"'),
    ("web:\n  port: 70000", "3: supervisor.web.port: 70,000 is outside 0 to 65,535"),
    (
        "web:\n  enabled: yes\n  host: 0.0.0.0",
        "4: supervisor.web.host: 0.0.0.0 can be reached from other machines, and so needs web.certificate and web.key; or listen on 127.0.0.1",
    ),
    (
        "web:\n  host: '::'\n",
        "3: supervisor.web.host: :: can be reached from other machines, and so needs web.certificate and web.key; or listen on 127.0.0.1",
    ),
    ("web:\n  host: 0.0.0.0\n  key: k", "4: supervisor.web.key: needs web.certificate as well"),
    ("web:\n  certificate: k", "3: supervisor.web.certificate: needs web.key as well"),
    (
        "web: {host: example.org}",
        '2: supervisor.web.host: "example.org" is no address of a machine; write 127.0.0.1, ::1, localhost, 0.0.0.0 or another IP address',
    ),
    (
        "web:\n  hosts:\n  - a.example\n  - http://b",
        '5: supervisor.web.hosts[1]: "http://b" is no host; write its name or address alone, as in app.example.org',
    ),
    (
        "resource: {url: 'ftp://x/'}",
        '2: supervisor.resource.url: "ftp://x/" is not a URL of http or https; write it as in https://app.example.org/events',
    ),
    (
        "resource: {url: 'app.example.org'}",
        '2: supervisor.resource.url: "app.example.org" is not a URL of http or https; write it as in https://app.example.org/events',
    ),
    (
        "resource: {url: 'file:///etc/passwd'}",
        '2: supervisor.resource.url: "file:///etc/passwd" is not a URL of http or https; write it as in https://app.example.org/events',
    ),
    ("resource: {url: 'http://x:99999/'}", "2: supervisor.resource.url: is no URL: Port out of range 0-65535"),
    ("resource: {url: 'http://[x/'}", "2: supervisor.resource.url: is no URL: Invalid IPv6 URL"),
    ("resource: {url: 'http://x/#y'}", "2: supervisor.resource.url: may not have a part behind #, which is never sent"),
    (
        "result: {url: 'http://ann:secret@x/'}",
        "2: supervisor.result.url: may not carry a user or a password, which would be shown with it; put a token into the file post.token_file",
    ),
    (
        "result:\n  alert_url: http://10.1.2.3/x",
        "3: supervisor.result.alert_url: posts to 10.1.2.3, which is this machine or a private network; "
        "if that is meant, name it in post.allow_private",
    ),
    ("log_format: xml", '2: supervisor.log_format: "xml" is unknown; known are text, json'),
    ("heartbeat_s: 0", "2: supervisor.heartbeat_s: 0 s is outside 0.1 to 3,600 s"),
]


@pytest.mark.parametrize(("text", "sentence"), REFUSED, ids=[text for text, _ in REFUSED])
def test_a_wrong_setting_is_refused_where_it_stands(text: str, sentence: str) -> None:
    assert refusal(text) == sentence


@pytest.mark.parametrize("host", ["127.1.2.3", "[::1]:80", "localhost", "a.localhost.", "169.254.169.254", "[::ffff:10.0.0.1]"])
def test_a_post_to_an_address_inside_must_be_allowed_by_name(host: str) -> None:
    assert "private network" in refusal(f"resource: {{url: 'http://{host}/'}}")


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST"])
def test_loopback_needs_no_certificate(host: str) -> None:
    assert supervisor(f"web: {{host: '{host}'}}").web.host == host.lower()


def test_a_listener_that_is_off_may_be_half_said_and_is_judged_when_it_is_switched_on() -> None:
    spec = supervisor("web: {enabled: no, host: 0.0.0.0}")
    with pytest.raises(ConfigError, match=r"^web\.host 0\.0\.0\.0 can be reached"):
        with_setting(spec, "web.enabled", "true")
    spec = with_setting(with_setting(spec, "web.certificate", "c", folder="/tls"), "web.key", "/tls/k")
    assert with_setting(spec, "web.enabled", "on").web == WebSpec(host="0.0.0.0", certificate="/tls/c", key="/tls/k")


# One by one ----------------------------------------------------------------------------------------------------------------------------------------


def test_every_key_has_a_text_that_gives_the_same_value_back() -> None:
    spec = SupervisorSpec(var="/v", log_max_bytes=50_000_001, ping_s=0.125, web=WebSpec(hosts=["a", "b"], max_body=3 << 20))
    assert len(keys()) == len(set(keys())) > 35
    for key in keys():
        if is_live(key):
            assert with_setting(spec, key, text_of(spec, key)) == spec


@pytest.mark.parametrize(
    ("key", "text", "value", "shown"),
    [
        ("web.port", "8080", 8080, "8080"),
        ("web.enabled", "off", False, "false"),
        ("log_level", "debug", "debug", "debug"),
        ("log_max_bytes", "1MB", 1_000_000, "1000000"),
        ("log_max_bytes", "65536", 65_536, "64KiB"),
        ("ping_s", "1m", 60.0, "60s"),
        ("resource.interval_s", "100ms", 0.1, "0.1s"),
        ("shutdown_s", "0", 0.0, "0"),
        ("web.hosts", "a.example, b.example", ["a.example", "b.example"], "a.example, b.example"),
        ("web.hosts", "", [], ""),
        ("result.tasks", "[a, 'b]", ("a", "'b"), "a, 'b"),
        ("resource.url", "", "", ""),
    ],
)
def test_a_setting_is_said_as_in_the_file(key: str, text: str, value: object, shown: str) -> None:
    spec = with_setting(SupervisorSpec(), key, text)
    assert value_of(spec, key) == value
    assert text_of(spec, key) == shown


@pytest.mark.parametrize(
    ("key", "text", "code", "sentence"),
    [
        ("web.prot", "1", Code.USAGE, "web.prot is no setting; did you mean web.port?"),
        ("resource", "1", Code.USAGE, "resource is no setting; it has resource.enabled, resource.interval_s, resource.keep, resource.url"),
        ("nonsense", "1", Code.USAGE, "nonsense is no setting; `conf show` lists them"),
        ("web.port.x", "1", Code.USAGE, "web.port.x is no setting; did you mean web.port?"),
        ("var", "/x", Code.USAGE, "var can only be said by the configuration file; edit it and start efsupervisord again"),
        ("web.port", "-", Code.CONFIG, 'web.port "-" is not a whole number'),
        ("web.port", "", Code.CONFIG, 'web.port "" is not a whole number'),
        (
            "post.token_file",
            "t",
            Code.CONFIG,
            "post.token_file is relative, and there is no file here that it could be relative to; write the path in full",
        ),
        ("result.tasks", "", Code.CONFIG, "result.tasks names no task"),
    ],
)
def test_a_setting_that_cannot_be_is_refused_and_says_what_to_try(key: str, text: str, code: Code, sentence: str) -> None:
    with pytest.raises(EfError) as caught:
        with_setting(SupervisorSpec(), key, text)
    assert (caught.value.code, caught.value.message) == (code, sentence)


def test_a_setting_goes_back_to_the_value_of_the_file() -> None:
    file = supervisor("web: {port: 9000}")
    changed = with_setting(file, "web.port", "1")
    assert with_value(changed, "web.port", value_of(file, "web.port")) == file


def test_a_fault_that_was_there_before_does_not_hinder_another_setting() -> None:
    spec = SupervisorSpec(resource=ResourceSpec(url="http://127.0.0.1/"))
    assert with_setting(spec, "web.port", "1").web.port == 1


def test_passwords_are_secret_and_nothing_else_is() -> None:
    assert [key for key in keys() if is_secret(key)] == ["xmlrpc.password"]
