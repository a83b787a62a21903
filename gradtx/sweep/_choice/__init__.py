"""How to choose which lanes go on."""
