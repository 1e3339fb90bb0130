"""The command line: `efctl`, which turns words into requests of the protocol and replies into text.

    main      entry, and the one place where an error becomes an exit status
    grammar   what may be typed, declared with click; imported only when it is needed
    verbs     what each command does, with a client and nothing else
    client    one blocking connection to the Core, deadlines and retries
    where     which supervisor is meant
    render    text for people: tables, durations, neutral output

It never imports the rooms that do the work (task, core): everything goes over the socket, so that efctl of one version can speak with a daemon of
another."""
