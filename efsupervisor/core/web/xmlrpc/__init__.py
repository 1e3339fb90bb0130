"""supervisord's XML-RPC, as supervisord 4.3 speaks it, so that its clients (supervisorctl, superlance, other people's pages) work unchanged.

    faults    numbers and texts of what goes wrong
    marshal   values to XML and back, within limits.  Pure
    picture   names, groups and structures that clients see, made from our rows.  Pure
    logs      offsets as clients count them, on logs as we keep them
    methods   every method: one flat table of declared functions
    house     how a method asks the middle interface
    desk      one call or a multicall: looked up, checked, run, answered
    http      HTTP/1.1 as those clients speak it, on the listener's loop
    doors     the sockets, and who may pass
    server    all of it together, in the web listener

Nothing here starts or stops a task: a method says verbs, as efctl does.
"""
