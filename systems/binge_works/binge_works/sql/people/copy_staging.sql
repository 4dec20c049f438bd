-- Fills: staging.popular_people, streaming: one good item a row, with its place in the list, its day and the run that brings it.
-- Reads: nothing.
-- Twice is safe: the transaction empties the table first.
copy staging.popular_people (
    id, name, adult, gender, known_for_department, popularity, profile_path, known_for, rank, as_of, run_id
) from stdin
