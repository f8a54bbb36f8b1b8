"""A virtual ESP32 board: NOR flash on a file, ESP-IDF's boot logic, real MicroPython on top."""
