"""The chip: bootloader, ESP-IDF, what a program can touch, and the MicroPython process that runs it."""
