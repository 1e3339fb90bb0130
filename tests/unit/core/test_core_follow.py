"""What a person who tries something out sees first."""

from __future__ import annotations

from efsupervisor.conf.schema import Config, TaskSpec
from efsupervisor.core.follow import welcome


def test_the_first_lines_say_what_runs_what_is_shown_and_what_to_type_next() -> None:
    config = Config(source="/srv/etc/e.yaml", tasks=[TaskSpec(name=f"t{number}", command=["x"]) for number in range(10)])
    text = welcome(config, ("t1",))
    assert "t0, t1" in text
    assert "2 more" in text
    assert "what t1 writes" in text
    assert "efctl -c /srv/etc/e.yaml status" in text
    assert "Ctrl-C" in text
