"""Over-the-air updates for ESP32 boards that run stock MicroPython."""
