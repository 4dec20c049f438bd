-- Fills: staging.shows, streaming: one good item a row, with its place in the list, its day and the run that brings it.
-- Reads: nothing.
-- Twice is safe: the transaction empties the table first.
copy staging.shows (
    id, name, original_name, first_air_date, origin_country, overview, popularity, vote_average, vote_count,
    poster_path, backdrop_path, original_language, genre_ids, adult, rank, as_of, run_id
) from stdin
