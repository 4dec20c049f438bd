"""A TMDB of our own: invented lists that change from day to day, served by a process that plays faults too."""
