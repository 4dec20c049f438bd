-- Reads: rating_desc.
select rating_id,
       case when count(*) over (partition by description) > 1
            then concat(description, ' (', rating_id, ')')
            else description
       end as rating
from rating_desc
order by rating_id
