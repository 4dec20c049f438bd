-- Fills: staging.popular_movies, streaming: one good item a row, with its place in the list, its day and the run that brings it.
-- Reads: nothing.
-- Twice is safe: the transaction empties the table first.
copy staging.popular_movies (
    id, title, original_title, release_date, video, overview, popularity, vote_average, vote_count, poster_path,
    backdrop_path, original_language, genre_ids, adult, rank, as_of, run_id
) from stdin
