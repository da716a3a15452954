"""The story, a package or file per stage. A stage imports itself, `shared`, `domain`, `algos`; no other stage."""
