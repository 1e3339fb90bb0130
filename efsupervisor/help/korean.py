"""What the declarations of verbs say, in Korean: each English paragraph or description as it stands there -> the Korean one.

Keyed by the English words themselves, so that a declaration which changes loses its translation and the test that holds both together says so.
"""

from __future__ import annotations

TEXTS: dict[str, str] = {
    # What several verbs share
    "tasks, groups, patterns with `*`, or `all`": "태스크, 그룹, `*`를 쓴 패턴, 또는 전체를 뜻하는 `all`",
    "a task": "태스크 이름",
    "answer when it is done, not at once": "바로 응답하지 않고 작업이 끝난 뒤에 응답",
    "the event, one line": "이벤트 한 줄",
    "the event as base64, when it is no UTF-8 text": "UTF-8 텍스트가 아닌 이벤트를 base64로 지정",
    "how many of the last lines": "마지막 몇 줄을 읽을지",
    "byte of the journal to begin at, instead of the last lines": "마지막 줄들 대신, 저널의 이 바이트 위치부터 읽기",
    "`key=value` pairs, keys and values as in the configuration file": "`키=값` 쌍. 키와 값은 설정 파일에 쓰는 것과 같음",
    # Tasks
    "Show state, pid, uptime, restarts, lag and reason of tasks.": "태스크의 상태, pid, 실행 시간, 재시작 횟수, 밀린 양, 사유를 보여 줍니다.",
    "Tell why a task is in its present state: what holds it there, and how it came to this, newest first.": (
        "태스크가 왜 지금 상태인지, 무엇 때문에 그 상태에 머물러 있고 어떻게 그렇게 되었는지를 새것부터 보여 줍니다."
    ),
    "Show processes as a tree: of tasks the worker, the program and every descendant; without a name also the supervisor's own.": (
        "프로세스를 트리로 보여 줍니다. 태스크마다 워커, 프로그램, 모든 자손 프로세스를 보여 주고, "
        "이름을 주지 않으면 슈퍼바이저 자신의 프로세스도 보여 줍니다."
    ),
    "at most this many lines": "최대 줄 수",
    "Show how tasks are configured, where they come from, and their neighbours.": (
        "태스크의 설정과 출처(파일 또는 명령), 앞뒤로 연결된 태스크를 보여 줍니다."
    ),
    "Start tasks.": "태스크를 시작합니다.",
    "Answers when each of them runs, is at rest or has failed; with `wait` off at once. With `until` completed each must be a job, and it answers "
    "when all have come to their end, retries included. What they depend on is started first if it is not there; with `anew` completed jobs among it "
    "run again.": (
        "모든 태스크가 실행되거나, 멈춰 있거나, 실패한 것이 확인되면 응답합니다. `wait`를 끄면 바로 응답합니다. "
        "`until`이 completed이면 모두 작업(job)이어야 하고, 재시도까지 포함해 모두 끝나면 응답합니다. "
        "의존하는 것이 없으면 먼저 시작하며, `anew`이면 그중 이미 완료된 작업도 다시 실행합니다."
    ),
    "what is waited for": "무엇을 기다릴지",
    "run the jobs it depends on again": "의존하는 작업을 다시 실행",
    "Stop tasks with all their descendants.": "태스크를 그 자손 프로세스까지 모두 종료합니다.",
    "Answers when each of them is at rest; with `wait` off at once.": "모든 태스크가 멈추면 응답합니다. `wait`를 끄면 바로 응답합니다.",
    "Stop tasks and start them again.": "태스크를 종료했다가 다시 시작합니다.",
    "A task that is at rest is just started. Answers as `act` does.": "멈춰 있던 태스크는 시작만 합니다. 응답 방식은 `act`와 같습니다.",
    "With `rolling` one after the other: each must run, and be ready, before the next is stopped, and the first that fails ends it.": (
        "`rolling`을 켜면 하나씩 차례로 다시 시작합니다. 하나가 실행되고 준비된 뒤에 다음 것을 종료하며, 하나라도 실패하면 거기서 멈춥니다."
    ),
    "one after the other, not all at once": "한꺼번에가 아니라 하나씩 차례로",
    "with `rolling`: so many at once": "`rolling`과 함께: 한 번에 다시 시작할 개수",
    "Have another number of instances of a task: more are added and started, fewer are stopped from the highest number down.": (
        "태스크의 인스턴스 개수를 바꿉니다. 늘리면 추가해서 시작하고, 줄이면 번호가 큰 것부터 종료합니다."
    ),
    "It is saved, until the configuration file says another number than it says now.": (
        "설정 파일의 개수가 지금과 달라질 때까지 저장되어 유지됩니다."
    ),
    "a task that has `instances` in the configuration file": "설정 파일에 `instances`가 있는 태스크",
    "how many instances there are to be": "인스턴스를 몇 개로 할지",
    "Show the pids of the programs of tasks, one a line, 0 for none; without a name the supervisor's own.": (
        "태스크 프로그램의 pid를 한 줄에 하나씩 보여 줍니다. 실행 중이 아니면 0이고, 이름을 주지 않으면 슈퍼바이저의 pid입니다."
    ),
    "Add a task; it is saved, and started unless `autostart` is off.": (
        "태스크를 추가합니다. 추가한 태스크는 저장되며, `autostart`가 꺼져 있지 않으면 바로 시작됩니다."
    ),
    "Settings are the keys that a task has in the configuration file, with a dot for keys below `input`, `output` and `environment`: "
    "`stopwaitsecs=3s`, `input.window=8`, `environment.TZ=UTC`.": (
        "설정에는 설정 파일에서 태스크에 쓰는 키를 그대로 씁니다. `input`, `output`, `environment` 아래의 키는 점으로 잇습니다: "
        "`stopwaitsecs=3s`, `input.window=8`, `environment.TZ=UTC`."
    ),
    "name of the new task": "새 태스크의 이름",
    "the program and its arguments, word by word, instead of the setting `command`": "`command` 설정 대신, 프로그램과 인자를 단어 단위로 지정",
    "an added task of this name gets this definition instead": "같은 이름으로 추가된 태스크가 있으면 이 정의로 바꿈",
    "Change an added task; the settings that are not named stay as they are.": (
        "명령으로 추가한 태스크를 바꿉니다. 지정하지 않은 설정은 그대로 둡니다."
    ),
    "A task that does not exist is added when its program is said. A task of the configuration file is changed there.": (
        "없는 태스크라도 프로그램을 함께 지정하면 새로 추가됩니다. 설정 파일에 있는 태스크는 설정 파일에서 고치세요."
    ),
    "keys that go back to their defaults": "기본값으로 되돌릴 키",
    "Stop added tasks, forget them and remove their folders with all they wrote.": (
        "명령으로 추가한 태스크를 종료하고 삭제합니다. 그동안 기록한 내용과 폴더도 함께 지워집니다."
    ),
    "Read what a task wrote: the last lines, or from an offset on.": "태스크가 출력한 내용을 읽습니다. 마지막 몇 줄, 또는 지정한 위치부터 읽습니다.",
    "which journal: stdout, stderr, own input queue or dead letters": "읽을 저널: 표준 출력, 표준 오류, 자체 입력 큐, 데드 레터 중 하나",
    "at most this many bytes": "최대 바이트 수",
    "Show how the last runs of tasks ended, newest first.": "최근 실행이 어떻게 끝났는지 새것부터 보여 줍니다.",
    "at most this many runs": "최대 실행 건수",
    "only runs with a lower number": "이 번호보다 앞선 실행만",
    "Send a signal to the programs of tasks; to the program alone, not to its descendants.": (
        "태스크의 프로그램에 시그널을 보냅니다. 자손 프로세스가 아니라 프로그램에만 보냅니다."
    ),
    "its name or number: `HUP`, `SIGUSR1`, `10`": "시그널의 이름이나 번호: `HUP`, `SIGUSR1`, `10`",
    "Begin the logs of tasks anew: what they wrote is removed, but for what a consumer has not read yet.": (
        "태스크의 로그를 새로 시작합니다. 기록은 지워지지만, 소비자가 아직 읽지 않은 부분은 남습니다."
    ),
    "these tasks and groups alone; everything without one": "이 태스크와 그룹만. 지정하지 않으면 전체",
    "Take tasks that are at rest out of what is supervised, whatever the configuration file says; an update brings them back.": (
        "멈춰 있는 태스크를 설정 파일의 내용과 관계없이 관리 대상에서 뺍니다. update를 하면 다시 돌아옵니다."
    ),
    "tasks and groups of the file": "설정 파일의 태스크와 그룹",
    "Read the configuration file again and start everything anew: each task is stopped, and those with `autostart` are started again.": (
        "설정 파일을 다시 읽고 모든 것을 새로 시작합니다. 모든 태스크를 종료하고, `autostart`인 태스크를 다시 시작합니다."
    ),
    "A file that cannot be used changes nothing. The supervisor itself goes on; `update` restarts only what differs.": (
        "쓸 수 없는 파일이면 아무것도 바꾸지 않습니다. 수퍼바이저 자체는 계속 실행됩니다. 달라진 것만 다시 시작하려면 `update`를 쓰세요."
    ),
    "Replace the running supervisor and its helpers by the installed version; tasks and their events go on, and no pid changes.": (
        "실행 중인 슈퍼바이저와 보조 프로세스를 설치된 버전으로 바꿉니다. 태스크와 이벤트는 그대로 이어지고, pid도 바뀌지 않습니다."
    ),
    "The installed version is tried first. When it cannot start, or the configuration cannot be used, the running one goes on and this says why.": (
        "먼저 설치된 버전을 시험해 봅니다. 시작할 수 없거나 설정을 쓸 수 없으면, 실행 중인 버전이 계속 실행되고 그 이유를 알려 줍니다."
    ),
    "Say something to event listeners that want REMOTE_COMMUNICATION.": "REMOTE_COMMUNICATION을 받는 이벤트 리스너에게 이벤트를 보냅니다.",
    "a word that listeners look for": "리스너가 찾는 단어",
    "what is said": "보낼 내용",
    # Flows
    "Show flows with the lag of each edge.": "플로우와 각 연결에 밀려 있는 양을 보여 줍니다.",
    "flows, patterns with `*`, or `all`": "플로우, `*`를 쓴 패턴, 또는 전체를 뜻하는 `all`",
    "Show how flows are: what comes in and goes out a second, how far consumers are behind, how old the oldest event is, what is in flight.": (
        "플로우의 상태를 보여 줍니다. 초당 들어오고 나가는 양, 소비자가 밀린 정도, 가장 오래된 이벤트의 나이, 처리 중인 이벤트를 보여 줍니다."
    ),
    "Rates are made from two looks that are `over` seconds apart. Bytes are exact; events are counted, or estimated (`~`) where a queue is long.": (
        "속도는 `over`초 간격으로 두 번 살펴보고 계산합니다. 바이트는 정확한 값이고, 이벤트는 센 값이며 큐가 길면 어림한 값(`~`)입니다."
    ),
    "seconds between the two looks": "두 번 살펴보는 간격(초)",
    "Draw flows: tasks with their states, and what runs from which to which.": (
        "플로우를 그립니다. 태스크와 그 상태, 그리고 어디에서 어디로 흐르는지 보여 줍니다."
    ),
    "Add a flow between tasks that exist; it is saved.": "이미 있는 태스크 사이에 플로우를 추가합니다. 추가한 플로우는 저장됩니다.",
    "Settings are the keys that a flow has in the configuration file: `mode=share`, `start=begin`, `max_lag=64MiB`, `overflow=drop-oldest`.": (
        "설정에는 설정 파일에서 플로우에 쓰는 키를 그대로 씁니다: `mode=share`, `start=begin`, `max_lag=64MiB`, `overflow=drop-oldest`."
    ),
    "name of the flow": "플로우의 이름",
    "tasks whose output it takes": "출력을 내보내는 태스크(생산자)",
    "tasks whose input it is": "입력으로 받는 태스크(소비자)",
    "an added flow of this name gets this definition instead": "같은 이름으로 추가된 플로우가 있으면 이 정의로 바꿈",
    "Forget added flows; the tasks go on.": "명령으로 추가한 플로우를 삭제합니다. 태스크는 계속 실행됩니다.",
    # Groups and schedules
    "Show groups and their members.": "그룹과 그 구성원을 보여 줍니다.",
    "groups; all without a name": "그룹. 이름을 주지 않으면 전체",
    "Make or replace an added group.": "그룹을 만들거나, 명령으로 만든 그룹을 바꿉니다.",
    "name of the group": "그룹의 이름",
    "tasks, or patterns with `*`": "태스크, 또는 `*`를 쓴 패턴",
    "Forget added groups; their tasks stay.": "명령으로 만든 그룹을 삭제합니다. 그룹에 속한 태스크는 그대로 남습니다.",
    "Show schedules, when each is due and what came of it last.": "스케줄과 다음 실행 시각, 지난번 결과를 보여 줍니다.",
    "schedules; all without a name": "스케줄. 이름을 주지 않으면 전체",
    "Make or replace an added schedule.": "스케줄을 만들거나, 명령으로 만든 스케줄을 바꿉니다.",
    "At each time of `cron` it starts the tasks of `act`, stops those of `trm`, runs the flows of `run` to their end, and puts the event `put` into "
    "the input queue of `task`.": (
        "`cron`에 맞는 시각마다 `act`의 태스크를 시작하고, `trm`의 태스크를 종료하고, `run`의 플로우를 끝까지 실행하고, "
        "`put`의 이벤트를 `task`의 입력 큐에 넣습니다."
    ),
    "flows or groups of jobs that are run to their end": "끝까지 실행할 플로우 또는 작업 그룹",
    "what becomes of a time while the run before is not over": "앞선 실행이 끝나지 않았을 때 그 시각을 어떻게 할지",
    "Run a flow, or the jobs of a group, to its end.": "플로우 또는 그룹의 작업들을 끝까지 실행합니다.",
    "Every part is started: the tasks of the flow and of those that are connected with it through jobs. Answers when all jobs have come to their "
    "end, with exit status, time, bytes and events of each; the whole has failed when one of them has.": (
        "플로우의 태스크와 작업(job)을 통해 이어진 태스크를 모두 시작합니다. 모든 작업이 끝나면 각각의 종료 상태, 걸린 시간, 바이트와 이벤트 수를 "
        "알려 주며, 하나라도 실패하면 전체가 실패입니다."
    ),
    "a flow, a group or a pattern that stands for tasks": "플로우, 그룹 또는 태스크를 나타내는 패턴",
    "name of the schedule": "스케줄의 이름",
    "five fields (minute hour day month weekday), or six with seconds first": "다섯 항목(분 시 일 월 요일). 여섯 항목이면 맨 앞이 초",
    "an IANA name such as Asia/Seoul; the machine's when left out": "Asia/Seoul 같은 IANA 시간대 이름. 생략하면 이 컴퓨터의 시간대",
    "whose input queue the event of `put` goes into": "`put`의 이벤트를 넣을 태스크",
    "an event; {time} in it stands for the time that was due": "넣을 이벤트. {time}은 예정된 시각으로 바뀜",
    "what becomes of times that passed while no supervisor ran": "슈퍼바이저가 꺼져 있는 동안 지나간 시각을 어떻게 할지",
    "off: it is kept and does nothing": "끄면 스케줄은 남아 있지만 아무 일도 하지 않음",
    "Forget added schedules.": "명령으로 만든 스케줄을 삭제합니다.",
    # Events and queues
    "Put one event into a task's own input queue.": "태스크의 자체 입력 큐에 이벤트 하나를 넣습니다.",
    "It is in the queue, on disk, when this answers. The same `put_id` again puts nothing: repeat it on a retry.": (
        "응답이 오면 이벤트는 이미 디스크의 큐에 들어 있습니다. 같은 `put_id`로 다시 보내도 두 번 들어가지 않으니, 재시도할 때는 같은 값을 쓰세요."
    ),
    "says which put this is; the call's own id when left out": "이 요청을 구별하는 값. 생략하면 호출의 id를 씀",
    "Show how many events tasks were given, have acknowledged and still hold.": (
        "태스크에 전달된 이벤트 수, 확인(ack)된 수, 아직 처리 중인 수를 보여 줍니다."
    ),
    "Show what waits in front of tasks: the lag of each flow that ends at them, and of their own input queues.": (
        "태스크 앞에서 기다리는 것, 곧 그 태스크로 들어오는 각 플로우와 자체 입력 큐에 밀린 양을 보여 줍니다."
    ),
    "Show what passes: what is given to tasks and what they write, each with the beginning of the event.": (
        "지나가는 것을 보여 줍니다. 태스크에 전달되는 것과 태스크가 쓰는 것을 이벤트의 앞부분과 함께 보여 줍니다."
    ),
    "It is read from the logs; no task notices. When more passes than is shown, what is not shown is counted. An answer says where it ended: "
    "`since` goes on from there, and without it the view begins now.": (
        "로그에서 읽으므로 태스크에는 아무 영향이 없습니다. 보여 줄 수 있는 것보다 많이 지나가면 보여 주지 않은 수를 셉니다. "
        "답에는 어디에서 끝났는지 나오고, `since`로 거기에서 이어 갑니다. `since`가 없으면 지금부터 보여 줍니다."
    ),
    "`in` (given to a task), `out`, `err` (written by it); all without one": "`in`(태스크에 전달), `out`, `err`(태스크가 씀). 지정하지 않으면 전체",
    "where the answer before this one ended; empty for now": "앞선 답이 끝난 곳. 비우면 지금부터",
    "events that are shown at most": "최대로 보여 줄 이벤트 수",
    "how long to wait for something to pass": "무엇인가 지나갈 때까지 기다리는 시간",
    "Skip what waits in the own input queues of tasks that are at rest.": "멈춰 있는 태스크의 자체 입력 큐에서 기다리는 이벤트를 건너뜁니다.",
    # Dead letters
    "List the dead letters of tasks that were neither put back nor dropped.": (
        "태스크의 데드 레터 가운데 아직 되돌려 넣지도 버리지도 않은 것을 나열합니다."
    ),
    "Show one dead letter: the event, why it was given up, how the program died and what it had said last.": (
        "데드 레터 하나를 자세히 보여 줍니다. 이벤트와 포기한 까닭, 프로그램이 어떻게 죽었는지, 마지막으로 남긴 말이 나옵니다."
    ),
    "Put the events of dead letters back into their task's own input queue, each once.": (
        "데드 레터의 이벤트를 그 태스크의 자체 입력 큐에 한 번씩 되돌려 넣습니다."
    ),
    "Drop dead letters: they are listed no more.": "데드 레터를 버립니다. 더는 목록에 나오지 않습니다.",
    "number of a dead letter, or `all`": "데드 레터 번호 또는 `all`",
    "number of a dead letter; the latest when left out": "데드 레터 번호. 생략하면 가장 최근 것",
    # Configuration
    "Show the settings in force and where each comes from.": "지금 적용된 설정과 각각의 출처를 보여 줍니다.",
    "keys or sections (`web`); all without one": "키 또는 절(`web`). 지정하지 않으면 전체",
    "Set one setting of the supervisor at run time; it is saved. Without a value it goes back to what the file says.": (
        "실행 중인 슈퍼바이저의 설정 하나를 바꾸고 저장합니다. 값을 주지 않으면 설정 파일의 값으로 돌아갑니다."
    ),
    "a dotted key of the section `supervisor`, such as `web.port`": "`supervisor` 절의 키. `web.port`처럼 점으로 이음",
    "as it would be written in the file": "설정 파일에 쓰는 그대로",
    "Check the configuration file of the running supervisor, or a text; nothing is changed.": (
        "실행 중인 슈퍼바이저의 설정 파일이나 주어진 내용을 검사합니다. 바뀌는 것은 없습니다."
    ),
    "a configuration to be checked instead of the file": "파일 대신 검사할 설정 내용",
    "Read the configuration file again and show what differs from what runs; nothing is changed.": (
        "설정 파일을 다시 읽어 지금 실행 중인 것과 다른 점을 보여 줍니다. 바뀌는 것은 없습니다."
    ),
    "Make what runs as the configuration file says, all or nothing; what did not change is not touched.": (
        "설정 파일의 내용을 적용합니다. 전부 적용되거나 하나도 적용되지 않으며, 바뀌지 않은 태스크는 건드리지 않습니다."
    ),
    "also when more than a fifth of the running tasks would be removed": "실행 중인 태스크의 5분의 1 넘게 없어지더라도 적용",
    # Collectors and recovery
    "Show what the machine and tasks use: processor, memory, disk, network, descriptors.": (
        "컴퓨터와 태스크의 사용량(CPU, 메모리, 디스크, 네트워크, 디스크립터)을 보여 줍니다."
    ),
    "how many of the last looks": "최근 측정 몇 건을 보여 줄지",
    "Show the last results of tasks, and how many were posted, wait or were dropped.": (
        "태스크의 최근 결과와, 전송했거나 기다리거나 버린 건수를 보여 줍니다."
    ),
    "how many of the last for each task": "태스크마다 최근 몇 건을 보여 줄지",
    "Run a second instance of a task's command on one event, beside the live task, and tell what it did.": (
        "실행 중인 태스크는 그대로 두고, 같은 명령을 하나 더 띄워 이벤트 하나를 처리하게 한 뒤 결과를 알려 줍니다."
    ),
    "it is stopped after this many seconds": "이 시간(초)이 지나면 종료",
    "Show recoveries that are under way.": "진행 중인 복구 실행을 보여 줍니다.",
    # The supervisor
    "Show the version and pid of the supervisor, its siblings, and what ails it.": (
        "슈퍼바이저의 버전과 pid, 보조 프로세스, 그리고 문제가 있다면 무엇인지 보여 줍니다."
    ),
    "Show the supervisor's own helpers: middle interface, web, collectors.": "슈퍼바이저의 보조 프로세스(중간 인터페이스, 웹, 수집기)를 보여 줍니다.",
    "Read the supervisor's own log: the last lines, or from an offset on.": (
        "슈퍼바이저 자신의 로그를 읽습니다. 마지막 몇 줄, 또는 지정한 위치부터 읽습니다."
    ),
    "Show what happened: transitions of tasks and alerts, oldest first.": "있었던 일(태스크의 상태 변화와 경보)을 오래된 것부터 보여 줍니다.",
    "The last ones, or those from number `since` on (the `next` of the answer before); with `wait_s` the answer comes when there is something to tell.": (  # noqa: E501
        "`since`는 이어서 읽을 번호(앞선 응답의 `next`)입니다. `wait_s`를 주면 알릴 것이 생길 때까지 기다렸다가 응답합니다."
    ),
    "number of the first one": "첫 항목의 번호",
    "at most this many": "최대 건수",
    "wait so long for something to tell, in seconds": "알릴 것이 생길 때까지 기다릴 시간(초)",
    "kinds: `state`, or those of alerts": "종류: `state` 또는 경보의 종류",
    "Stop every task, then the supervisor.": "모든 태스크를 종료한 다음 슈퍼바이저를 종료합니다.",
    "Show help: an overview, or a page about a command or a subject.": "도움말을 보여 줍니다. 전체 안내, 또는 명령이나 주제 하나에 대한 설명입니다.",
    "words of a command (`flow add`), or a subject": "명령(`flow add`) 또는 주제",
    "`en` or `ko`; the caller's own when left out": "`en` 또는 `ko`. 생략하면 요청한 사람의 언어",
}
