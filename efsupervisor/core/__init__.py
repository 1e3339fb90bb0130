"""The Core: the parent process that forks workers and owns what spans tasks.

One thread, no ZeroMQ, nothing heavy: every worker is a fork of this process and shares its memory.  `main` boots it, `core` is its loop and its
queues, and the other modules own one thing each: `home` the folder and who may use it, `tasks` and `registry` what is known of each task, `workers`
the processes behind them, `adoption` the decisions at a start, `wiring` the flows, `watchdog` the signs of life, `control` and `desk` the clients,
`reaper` the dead. """
