"""Boards and otactl against fleet engines: gooseBit's own server; hawkBit's differences, by a fake."""
