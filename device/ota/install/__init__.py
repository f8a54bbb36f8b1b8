"""From a look at the server to the switch: source -> transform -> target."""
