"""Helpers of the system and chaos tests: a supervisor under test, witness programs, a checker of their histories, a sampler and a nemesis."""
