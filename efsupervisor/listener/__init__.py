"""Event listeners as supervisord has them: programs that say READY and RESULT on stdout and read events on stdin.

    kinds      types of events, which is whose parent, and payloads.  Pure
    talk       the protocol: envelopes out, READY and RESULT in.  Pure
    pool       what waits for the listeners of one pool, on disk, shared by its members
    sources    where events come from: the Core, the clock, logs of tasks
    bridge     the process between one listener and its pool

The program of a task of type `eventlistener` is a bridge, and the listener is the bridge's child.  So the Core has nothing to do with a listener
that hangs, breaks the protocol or floods: it holds up its own bridge.  What waits is in a file of the pool, so nothing is lost when a listener, its
bridge, its worker or the Core is killed.
"""
