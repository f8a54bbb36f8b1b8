"""What joins a board to the world: serial port and console, Wi-Fi and the way out."""
