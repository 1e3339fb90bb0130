"""The command line of the daemon."""

from __future__ import annotations

import re

import pytest

from efsupervisor.core.options import CANDIDATES, USAGE, Options, configuration, parse
from efsupervisor.errors import TABLE, Code, EfError


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", Options()),
        ("-c a.yaml -n", Options(configuration="a.yaml", nodaemon=True, said=(("nodaemon", "true"),))),
        ("-nca.yaml", Options(configuration="a.yaml", nodaemon=True, said=(("nodaemon", "true"),))),
        ("-u nobody -l/x --loglevel=debug -kt", Options(said=(
            ("user", "nobody"), ("logfile", "/x"), ("loglevel", "debug"), ("nocleanup", "true"), ("strip_ansi", "true"),
        ))),
        ("-ca.yaml", Options(configuration="a.yaml")),
        ("--configuration=a=b.yaml --nodaemon", Options(configuration="a=b.yaml", nodaemon=True, said=(("nodaemon", "true"),))),
        ("-n --follow one,two,", Options(nodaemon=True, follow=("one", "two"), said=(("nodaemon", "true"),))),
        ("--version", Options(version=True)),
        ("-v", Options(version=True)),
        ("--var=/srv/x", Options(var="/srv/x")),
        ("-h", Options(help=True)),
    ],
)
def test_options_are_understood_in_every_usual_spelling(words: str, expected: Options) -> None:
    assert parse(words.split()) == expected


@pytest.mark.parametrize("words", ["-c", "--configuration", "-x", "--nodaemon=yes", "etc/file.yaml", "-nc", "--follow one", "--follow"])
def test_what_is_not_an_option_is_refused_as_wrong_usage(words: str) -> None:
    with pytest.raises(EfError) as caught:
        parse(words.split())
    assert caught.value.verdict.exit_status == 2


def test_every_exit_status_that_is_documented_is_one_of_the_table() -> None:
    documented = {int(number) for number in re.findall(r"\b(\d+)\b", USAGE.partition("Exit status")[2])}
    codes = (Code.OK, Code.USAGE, Code.SYSTEM, Code.ALREADY_RUNNING, Code.TIMEOUT, Code.REFUSED, Code.CONFIG)
    assert documented == {TABLE[code].exit_status for code in codes}


def test_the_configuration_that_is_said_wins_over_the_environment_and_that_over_what_lies_about() -> None:
    environment = {"EFSUPERVISOR_CONF": "/env.yaml"}
    assert configuration(Options(configuration="/said.yaml"), environment, lambda _path: True) == "/said.yaml"
    assert configuration(Options(), environment, lambda _path: True) == "/env.yaml"
    assert configuration(Options(), {}, lambda path: path == CANDIDATES[2]) == CANDIDATES[2]


def test_no_configuration_anywhere_is_a_refusal_that_names_the_places() -> None:
    with pytest.raises(EfError) as caught:
        configuration(Options(), {}, lambda _path: False)
    assert caught.value.verdict.exit_status == 78
    assert all(place in caught.value.message for place in CANDIDATES)
