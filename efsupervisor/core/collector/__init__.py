"""The collectors: what the node and the tasks cost, what the tasks found out, and the announcers that tell a web server of both.

    resource    ResourceCollector: samples of node and tasks in bounded memory
    result      ResultCollector: results read from the journals, alerts taken from the Core
    sampling    one look at the machine and at a task's tree
    harvest     where results stand in the journals
    announcer   what is posted next, and what follows from the server's answer (pure)
    cursor      how far a stream was posted, on disk
    spool       records that wait on disk for a server
    poster      one blocking post, in a thread of its own

A collector is a sibling like the others: it may be killed at any instant, and what it had not posted is posted by its successor, under the same id.
"""
