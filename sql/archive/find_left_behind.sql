-- Reads: review: whether some lie between the archive's border, or a later moment, and the beginning of a month.
select exists (
    select
    from review
    where at >= greatest((select archive_border()), %(since)s::timestamptz)
      and at < %(begins_at)s::timestamptz
)
