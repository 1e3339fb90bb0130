"""supervisord.conf, read as supervisord reads it, and what of it we carry over."""
