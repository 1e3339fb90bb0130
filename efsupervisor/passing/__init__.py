"""What passes through flows, seen from outside: how far each edge is and what goes by.

Everything here reads files that are there anyway: journals and their time indexes, delivery records, claims logs, cursors.  No worker is asked and
none wakes up; a look costs whoever looks.  Nothing is kept between two looks but what the asker holds: two samples make a rate, a position makes the
next look go on where the last one ended.

    edges     where the files of an edge are, and one sample of them
    figures   from two samples to rates, lag and age (pure)
    records   counting and finding events in a stretch of a journal, with bounds on the work
    live      what passed since a position
"""
