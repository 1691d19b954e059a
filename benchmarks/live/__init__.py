"""How many live streams one process holds, how fast news reaches them, and how fast what was missed is sent again."""
