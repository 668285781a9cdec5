"""What a studio receives: manifest, flags, contact sheet, spin page, publication."""
