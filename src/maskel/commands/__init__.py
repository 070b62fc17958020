"""One file per command; its function's signature is the command's options."""
