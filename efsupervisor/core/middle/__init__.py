"""The rooms of the middle interface (efsupervisor.core.middle_interface): calls in, answers out, and everything that waits in between as data.

router      ZeroMQ: who may speak, how much, and how answers get out
desk        what callers say, answered: roles, deadlines, calls that come again
errand      runs one verb, step by step
house       what a verb may use
link        the line to the Core
collectors  who may be asked for figures and results
pool        slow work, elsewhere
memory      calls that changed something, and what was answered
"""
