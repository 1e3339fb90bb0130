"""Random supervisord.conf files: every option, section and kind of expansion, comments, continuations, includes, and slips.

One seed makes one folder with `supervisord.conf`, perhaps `conf.d/*.conf`, and the folders that it names.  Nothing here knows how the files are read.
"""

from __future__ import annotations

import random
from pathlib import Path

NAMES = ("web", "worker", "nginx", "php-fpm", "cron", "redis_1", "Api.v2", "job+x", "db@main", "queue")
USERS = ("root", "nobody", "0", "65534", "no_such_user_here")
EVENTS = ("PROCESS_STATE", "TICK_60", "process_log", "PROCESS_STATE_EXITED", "EVENT", "TICK_7")


class Maker:
    """Makes the file of one seed below `folder`.  slips: how likely a value is a wrong one."""

    def __init__(self, seed: int, folder: Path, slips: float = 0.02) -> None:
        self.random = random.Random(seed)
        self.folder = folder
        self.slips = slips

    def make(self) -> Path:
        """Write everything; the path of the first file."""
        for name in ("logs", "run", "conf.d"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        path = self.folder / "supervisord.conf"
        path.write_text(self.text(), encoding="utf-8", newline="")
        return path

    # Texts ------------------------------------------------------------------------------------------------------------------------------------------

    def text(self) -> str:
        """The first file."""
        programs = self.random.sample(NAMES, self.random.randint(1, 5))
        parts = [self.supervisord()] if self.random.random() > self.slips else []
        outside = []
        for name in programs:
            (parts if self.random.random() < 0.7 else outside).append(self.program(name))
        if self.random.random() < 0.4:
            parts.append(self.group(programs))
        if self.random.random() < 0.2:
            parts.append(self.group(programs))
        if self.random.random() < 0.3:
            parts.append(self.listener())
        if self.random.random() < 0.2:
            parts.append(self.fcgi())
        if self.random.random() < 0.6:
            parts.append(self.servers())
        if self.random.random() < 0.3:
            parts.append("[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface\n")
        if self.random.random() < 0.2:
            parts.append("[supervisorctl]\nserverurl=unix:///tmp/x.sock ; x\n")
        if self.random.random() < 0.15:
            parts.append("[DEFAULT]\n" + self.options({"startsecs": ["4"], "stdout_logfile_backups": ["7"]}, 0.8))
        if outside or self.random.random() < 0.2:
            for number, each in enumerate(outside):
                (self.folder / "conf.d" / f"{number}.conf").write_text(each, encoding="utf-8", newline="")
            pattern = self.random.choice(["conf.d/*.conf", "%(here)s/conf.d/*.conf", "nothing/*.ini conf.d/*.conf", "conf.d/*.conf\n  other/*.conf"])
            parts.append(f"[include]\nfiles = {pattern}\n")
        self.random.shuffle(parts)
        text = "\n".join(parts)
        return text.replace("\n", "\r\n") if self.random.random() < 0.05 else text

    def options(self, choices: dict[str, list[str]], likely: float = 0.35, wrong: dict[str, list[str]] | None = None) -> str:
        """Some options in some order, each with one of its values."""
        names = [name for name in choices if self.random.random() < likely]
        self.random.shuffle(names)
        lines = []
        for name in names:
            slip = (wrong or {}).get(name)
            value = self.random.choice(slip) if slip and self.random.random() < self.slips else self.random.choice(choices[name])
            lines.append(self.line(name, value))
            if self.random.random() < 0.04:
                lines.append(self.line(name, self.random.choice(choices[name])))
            if self.random.random() < 0.1:
                lines.append(self.random.choice(["", "; a comment = 1", "# another: 2", "   ; indented"]))
        if self.random.random() < self.slips:
            lines.append(self.random.choice(["no_delimiter_here", "= no name", "unknwon = 1"]))
        return "".join(f"{line}\n" for line in lines)

    def line(self, name: str, value: str) -> str:
        """One option as somebody would write it."""
        name = self.random.choice([name, name, name, name.upper(), name.capitalize()])
        delimiter = self.random.choice(["=", "=", " = ", ": ", " =", ":"])
        comment = self.random.choice(["", "", "", "", " ; why", " # why", "\t; why", ";none", "#none" if name.lower() == "command" else ""])
        if comment in (";none", "#none") and name.lower() not in ("command", "environment", "process_name"):
            comment = ""
        return f"{name}{delimiter}{value}{comment if name.lower() != 'environment' or comment != ';none' else ''}"

    # Sections ---------------------------------------------------------------------------------------------------------------------------------------

    def supervisord(self) -> str:
        """[supervisord]."""
        return "[supervisord]\n" + self.options(
            {
                "nodaemon": ["true", "false", "1", "off", "YES"],
                "silent": ["true", "no"],
                "logfile": ["/dev/null", "%(here)s/logs/main.log", "main.log", "logs/x.log", "syslog"],
                "logfile_maxbytes": ["0", "50MB", "1kb", "123456", "2GB"],
                "logfile_backups": ["0", "3", " 7 "],
                "loglevel": ["info", "DEBUG", "warn", "critical", "blather", "trace", "error"],
                "pidfile": ["%(here)s/run/supervisord.pid", "s.pid", "/tmp/x.pid"],
                "umask": ["022", "077", "0o27", "2"],
                "identifier": ["supervisor", "%(ENV_WHO)s-x", "a b"],
                "minfds": ["1024", "2048"],
                "minprocs": ["200", "1"],
                "nocleanup": ["true", "0"],
                "strip_ansi": ["true", "false"],
                "childlogdir": ["%(here)s/logs", "/tmp"],
                "directory": ["%(here)s", "/"],
                "user": ["root", "nobody"],
                "environment": ['A="1",B=2', "PATHS='/a:/b',WHO2=\"%(ENV_WHO)s\"", 'P="50%%%%"', "", "A=1,\n  C=3", 'HERE="%(here)s"'],
            },
            0.4,
            {
                "nodaemon": ["maybe"], "loglevel": ["loud"], "umask": ["9"], "environment": ["A", "A=1 B=2 C", "%(nothing)s"], "minfds": ["x"],
                "childlogdir": ["/no/such/folder"], "logfile_maxbytes": ["1TB", "x"],
            },
        )  # fmt: skip

    def process(self, name: str) -> str:
        """The options that every kind of program has."""
        several = self.random.random() < 0.25
        number = self.random.choice(["%(process_num)d", "%(process_num)02d", "%(process_num)s", "%(process_num)03d"])
        logs = [
            "/dev/stdout", "/dev/fd/1", "/dev/null", "AUTO", "none", "OFF", "syslog", "%(here)s/logs/%(program_name)s.log", "logs/a.log", "b.log",
            "%(here)s/logs/%(group_name)s-" + number + ".log", "~/c.log", "%(here)s/logs/%(ENV_MINE)s.log", "%(here)s/logs/%(host_node_name)s.log",
        ]  # fmt: skip
        fixed = ""
        if several:
            fixed = f"numprocs={self.random.randint(2, 4)}\nprocess_name=%(program_name)s{self.random.choice(['_', '-', '.'])}{number}\n"
            if self.random.random() < self.slips:
                fixed = "numprocs=2\n"
        environment = ['MINE="m1"', "MINE=m2,X='a,b'", f'MINE="{number}",Y="%(ENV_WHO)s"', "MINE='%(program_name)s',\n\tZ=/a/b:c", 'MINE="x%%y"']
        has_mine = self.line("environment", self.random.choice(environment)) + "\n"
        return (
            self.line("command", self.random.choice(self.commands(number)))
            + "\n"
            + fixed
            + has_mine
            + self.options(
                {
                    **({} if several else {"process_name": ["%(program_name)s", "p_" + name, "%(group_name)s-%(program_name)s", "same"]}),
                    "numprocs_start": ["0", "1", "10"],
                    "priority": ["1", "999", "5", "-3", " 20"],
                    "autostart": ["true", "false", "0"],
                    "autorestart": ["true", "FALSE", "unexpected", "Unexpected", "1"],
                    "startsecs": ["0", "5", "10"],
                    "startretries": ["0", "10"],
                    "exitcodes": ["0,2", "0", "1, 2 ,3", "", "255"],
                    "stopsignal": ["TERM", "QUIT", "SIGINT", "9", "usr1", "15", "HUP", " WINCH "],
                    "stopwaitsecs": ["1", "60"],
                    "stopasgroup": ["true", "false"],
                    "killasgroup": ["true"],
                    "user": ["root", "nobody", "0", "65534"],
                    "redirect_stderr": ["true", "false"],
                    "directory": ["/tmp", "%(here)s", "logs", "/srv/" + number, "%(ENV_MINE)s"],
                    "umask": ["022", "002", "077"],
                    "serverurl": ["AUTO", "http://localhost:9001", "unix:///x", " auto "],
                    "stdout_logfile": logs,
                    "stderr_logfile": logs,
                    **{
                        f"{channel}_{option}": values
                        for channel in ("stdout", "stderr")
                        for option, values in {
                            "logfile_maxbytes": ["0", "1MB", "10kb"],
                            "logfile_backups": ["0", "20"],
                            "capture_maxbytes": ["0", "1MB"],
                            "events_enabled": ["true", "false"],
                            "syslog": ["true", "false"],
                        }.items()
                    },
                },
                0.2,
                {
                    "autostart": ["sometimes"], "autorestart": ["often"], "exitcodes": ["256", "a", "-1"], "stopsignal": ["NOSUCH", "700"],
                    "startsecs": ["1.5", "x"], "user": ["no_such_user_here", "root:root"], "umask": ["8"], "process_name": ["a b", "a:b", "%(x)s"],
                    "stdout_logfile": ["/no/such/folder/x.log", "%(nothing)s"], "stdout_logfile_maxbytes": ["x", "1TB"], "directory": ["%(none)s"],
                    "priority": ["high"], "numprocs_start": ["x"],
                },
            )
        )  # fmt: skip

    def commands(self, number: str) -> list[str]:
        """Command lines."""
        found = [
            "/bin/cat", "/usr/bin/env FOO=%(ENV_WHO)s x", f'/bin/sh -c "echo {number}; sleep 1"', "%(here)s/run --port=80" + number, "a 'b c' d\\ e",
            "cmd --name=%(program_name)s --group=%(group_name)s --of=%(numprocs)d", "x\n   --more\n   --yet", "date +%%Y", "a;b #c",
            "%(ENV_MINE)s go", "cmd --host=%(host_node_name)s",
        ]  # fmt: skip
        return [*found, *(["%(ENV_NOTHING)s", "date +%Y-%m", "100%"] if self.random.random() < self.slips else [])]

    def program(self, name: str) -> str:
        """[program:x]."""
        blank = " " if self.random.random() < 0.03 else ""
        body = self.process(name)
        if self.random.random() < self.slips:
            body = body.partition("\n")[2]
        return f"[program:{blank}{name}]{self.random.choice(['', '', ' ; about it', '   '])}\n{body}"

    def group(self, programs: list[str]) -> str:
        """[group:x]."""
        members = self.random.sample(programs, self.random.randint(1, len(programs)))
        if self.random.random() < self.slips:
            members.append("nobody_here")
        between = self.random.choice([",", ", ", " , "])
        name = self.random.choice(["all_of_them", "front", "back.end", self.random.choice(programs)])
        return f"[group:{name}]\nprograms={between.join(members)}\n" + self.options({"priority": ["1", "500"]}, 0.5)

    def listener(self) -> str:
        """[eventlistener:x]."""
        events = self.random.sample(EVENTS[:5] if self.random.random() > self.slips else EVENTS, 2)
        redirected = "redirect_stderr=false\n"
        return (
            f"[eventlistener:{self.random.choice(['memmon', 'crash'])}]\n"
            + self.process("listener")
            + redirected
            + (f"events={','.join(events)}\n" if self.random.random() > self.slips else "")
            + self.options({"buffer_size": ["1", "100"]}, 0.5, {"buffer_size": ["0", "-1"]})
        )

    def fcgi(self) -> str:
        """[fcgi-program:x]."""
        unix = self.random.random() < 0.6
        options: dict[str, list[str]] = {"socket_backlog": ["1", "1024"]}
        if unix:
            options |= {"socket_owner": ["root", "root:root", "nobody"], "socket_mode": ["0600", "777"]}
        elif self.random.random() < self.slips:
            options |= {"socket_mode": ["0600"]}
        socket = self.random.choice(["unix:///tmp/%(program_name)s.sock", "unix:///var/run/x.sock"]) if unix else "tcp://localhost:9002"
        if self.random.random() < self.slips:
            socket = self.random.choice(["unix://relative", "http://x", "tcp://x"])
        return "[fcgi-program:fast]\n" + self.process("fast") + f"socket={socket}\n" + self.options(options, 0.5, {"socket_backlog": ["0", "x"]})

    def servers(self) -> str:
        """[unix_http_server] and [inet_http_server]."""
        name = self.random.choice(["", "", ":second"])
        account = self.random.choice(["", "", "username=u\npassword={SHA}82ab876d1387bfafe46cc1c8a2ef074eae50cb1d\n"])
        if self.random.random() < self.slips:
            account = "username=u\n"
        unix = f"[unix_http_server{name}]\nfile={self.random.choice(['/tmp/s.sock', '%(here)s/run/s.sock', 's.sock'])}\n"
        rights = {"chmod": ["0700", "0770"], "chown": ["root", "nobody:root", "root:root"]}
        unix += self.options(rights, 0.5, {"chown": ["nosuch:root"], "chmod": ["x"]})
        inet = f"[inet_http_server{name}]\nport={self.random.choice(['9001', '*:9001', '127.0.0.1:9001', 'LocalHost:80'])}\n"
        chosen = self.random.choice([unix, inet, unix + account + inet])
        return chosen + account
