"""EventFlow Supervisor: runs programs as tasks, keeps them alive, and chains them into durable flows."""

__version__ = "0.1.0"
