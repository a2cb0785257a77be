"""How bytes travel: one package for each protocol; it reads what others serve, and writes nothing."""
