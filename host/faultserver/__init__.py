"""An HTTPS server, or a proxy before somebody's server, whose answers go wrong as they are told to."""
