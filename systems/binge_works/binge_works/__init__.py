"""TMDB's popular shows, movies and people: raw pages, staging, dimensions and their true history."""
