"""How many boards one server bears: their real HTTP over TLS, without their VM. `make scale`."""
