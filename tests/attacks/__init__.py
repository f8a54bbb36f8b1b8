"""The attacker's side: what he serves or does, a row each, to one virtual board over real TLS (docs/security.md)."""
