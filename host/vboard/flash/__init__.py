"""Flash and what lies in it: NOR rules, partition table, otadata, NVS, app images."""
