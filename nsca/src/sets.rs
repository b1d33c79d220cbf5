//! What `send_nsca` reads on its standard input.
