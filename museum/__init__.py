"""What the museum's stages share: its settings, its rules for kiosk rows and exhibitions, its accounting."""
