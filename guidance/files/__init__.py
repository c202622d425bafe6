"""The disk: files written whole or not at all, text of any encoding, tables."""
