"""The web sibling: commands over HTTP, for people with a token.

    monitor   the sibling itself: opens the port, forks the listener, replaces it
    listener  the process that serves: one loop, and threads that run the application
    helper    what must be there before it: the token file, the port, the certificate
    server    HTTP itself: waitress's parser, channels and threads on our loop
    tls       the same over TLS
    limits    how long a connection may take for what, and which heads of requests are refused.  Pure
    doors     which Host, which Origin.  Pure
    auth      tokens, roles, and how often a guess is looked at
    link      from a thread that waits to the loop that speaks to the middle interface
    app       routing, requests, answers
    replies   what every answer looks like
    openapi   the document that describes it

Nothing here starts or stops a task: what is asked becomes a Call and goes to the middle interface.
"""
